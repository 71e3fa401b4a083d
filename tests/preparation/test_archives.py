"""Archives are unpacked completely, and only inside the folder."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
import rarfile
from interrupted import interrupt
from miniature_datasets import COMPRESSED, write_rar

from dvfl_mmaction import UserError
from dvfl_mmaction.preparation import archives
from dvfl_mmaction.preparation.archives import RAR_TOOLS, find_pieces, unpack


class Counter:
    """Progress without a bar."""

    total = 0

    def advance(self, amount):
        self.total += amount


def unpack_in(folder, path):
    into = folder / 'into'
    into.mkdir()
    unpack([path], into, Counter())
    return {
        p.relative_to(into).as_posix(): p.read_bytes()
        for p in into.rglob('*')
        if p.is_file()
    }


def write_zip(path, contents):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def write_tar(path, contents, mode='w:gz'):
    with tarfile.open(path, mode) as archive:
        for name, data in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


WRITERS = {'a.zip': write_zip, 'a.tar.gz': write_tar, 'a.rar': write_rar}


@pytest.mark.parametrize('name', WRITERS)
def test_content_is_unpacked(tmp_path, name):
    contents = {
        'kick/#1_(x);y&z_kick_0.avi': b'one',
        'kick ball/ünï!.avi': bytes(300_000),
        'top.txt': b'',
    }
    WRITERS[name](tmp_path / name, contents)
    assert unpack_in(tmp_path, tmp_path / name) == contents


@pytest.mark.parametrize('name', WRITERS)
@pytest.mark.parametrize(
    'entry', ['../outside.avi', 'a/../../outside.avi', '/tmp/outside.avi']
)
def test_an_entry_outside_of_the_folder_is_refused(tmp_path, name, entry):
    target = str(tmp_path / 'outside.avi') if entry[0] == '/' else entry
    WRITERS[name](tmp_path / name, {target: b'harm'})
    with pytest.raises(UserError, match='points outside of the folder'):
        unpack_in(tmp_path, tmp_path / name)
    assert not (tmp_path / 'outside.avi').exists()


def test_backslashes_separate_folders(tmp_path):
    contents = {'kick\\': b'', 'kick\\a.avi': b'one'}
    write_zip(tmp_path / 'a.zip', contents)
    unpacked = unpack_in(tmp_path, tmp_path / 'a.zip')
    assert unpacked == {'kick/a.avi': b'one'}


@pytest.mark.parametrize('name', ['a.zip', 'a.rar'])
def test_backslashes_do_not_lead_outside(tmp_path, name):
    WRITERS[name](tmp_path / name, {'..\\outside.avi': b'harm'})
    with pytest.raises(UserError, match='points outside of the folder'):
        unpack_in(tmp_path, tmp_path / name)


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        entry = zipfile.ZipInfo('link')
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, '/etc')
    with pytest.raises(UserError, match="'link' is a link"):
        unpack_in(tmp_path, tmp_path / 'a.zip')


@pytest.mark.parametrize(
    'kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize('target', ['../..', 'a.avi'])
def test_links_and_special_files_in_a_tar_are_refused(tmp_path, kind, target):
    with tarfile.open(tmp_path / 'a.tar.gz', 'w:gz') as archive:
        entry = tarfile.TarInfo('link')
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    with pytest.raises(UserError, match="'link' is a link or a special file"):
        unpack_in(tmp_path, tmp_path / 'a.tar.gz')


def test_links_too_long_to_resolve_do_not_lead_outside(tmp_path):
    # The kind of CVE-2025-4517: once a path exceeds PATH_MAX, realpath stops
    # resolving it, and filter='data' takes it for a harmless one.
    folder = 'd' * 247
    outside = tmp_path / 'outside.avi'
    outside.write_bytes(b'mine')
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:

        def add(name, kind, target=''):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)

        path = ''
        for letter in 'abcdefghijklmnop':
            add(path + folder, tarfile.DIRTYPE)
            add(path + letter, tarfile.SYMTYPE, folder)
            path += folder + '/'
        long = '/'.join('abcdefghijklmnop') + '/' + 'l' * 254
        add(long, tarfile.SYMTYPE, '../' * 16)
        add('escape', tarfile.SYMTYPE, f'{long}/..')
        add('hard', tarfile.LNKTYPE, 'escape/outside.avi')
        entry = tarfile.TarInfo('hard')
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b'harm'))
    (tmp_path / 'a.tar').rename(tmp_path / 'a.tar.gz')
    with pytest.raises(UserError, match='is a link'):
        unpack_in(tmp_path, tmp_path / 'a.tar.gz')
    assert outside.read_bytes() == b'mine'


@pytest.mark.parametrize('name', WRITERS)
@pytest.mark.parametrize('bad', ['../b.avi', 'b' * 256, 'b/' * 1600 + 'b'])
def test_all_entries_are_checked_before_the_first_is_written(
    tmp_path, name, bad
):
    WRITERS[name](tmp_path / name, {'a.avi': b'clip', bad: b'harm'})
    with pytest.raises(UserError, match='points outside|too long'):
        unpack_in(tmp_path, tmp_path / name)
    assert not list((tmp_path / 'into').iterdir())


@pytest.mark.parametrize('name', WRITERS)
def test_a_file_and_a_folder_of_one_name_are_reported(tmp_path, name):
    WRITERS[name](tmp_path / name, {'a': b'file', 'a/b.avi': b'clip'})
    with pytest.raises(UserError, match='both a file and a folder'):
        unpack_in(tmp_path, tmp_path / name)


def test_an_uncompressed_tar_named_tar_gz_is_unpacked(tmp_path):
    write_tar(tmp_path / 'part_120.tar.gz', {'a.mp4': b'clip'}, 'w')
    unpacked = unpack_in(tmp_path, tmp_path / 'part_120.tar.gz')
    assert unpacked == {'a.mp4': b'clip'}


@pytest.mark.parametrize('name', WRITERS)
@pytest.mark.parametrize('keep', [0, 20, 0.5, 0.9])
def test_an_archive_that_ends_early_is_reported(tmp_path, name, keep):
    contents = {f'{i}.avi': os.urandom(3000) for i in range(5)}
    WRITERS[name](tmp_path / name, contents)
    data = (tmp_path / name).read_bytes()
    length = keep if isinstance(keep, int) else int(len(data) * keep)
    (tmp_path / name).write_bytes(data[:length])
    with pytest.raises(UserError, match='download it again'):
        unpack_in(tmp_path, tmp_path / name)


def alter_zip(path, **values):
    """Change the flags and the method in both headers of a zip's entry."""
    data = bytearray(path.read_bytes())
    central = data.index(b'PK\x01\x02')
    for name, value in values.items():
        offset = dict(flags=6, method=8)[name]
        data[offset] = data[central + offset + 2] = value
    path.write_bytes(data)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (dict(flags=1), 'is encrypted; unpack it by hand'),
        (dict(flags=0x40), 'by Python .strong encryption.*; unpack it by'),
        (dict(method=99), 'by Python .*method is not supported.; unpack it'),
        (dict(method=14), 'is broken or ends early'),  # LZMA
    ],
)
def test_a_zip_that_python_cannot_unpack_is_reported(
    tmp_path, values, message
):
    write_zip(tmp_path / 'a.zip', {'a.avi': b'\0\0\5\0' + b'\xff' * 95})
    alter_zip(tmp_path / 'a.zip', **values)
    with pytest.raises(UserError, match=message):
        unpack_in(tmp_path, tmp_path / 'a.zip')


def test_an_encrypted_piece_is_reported(tmp_path):
    path = tmp_path / 'x-v2-00.zip'
    write_zip(path, {'x-v2-00': b'piece'})
    alter_zip(path, flags=1)
    with pytest.raises(UserError, match='is encrypted; unpack it by hand'):
        unpack_in(tmp_path, path)


def test_pieces_are_sorted_without_duplicates(tmp_path):
    names = ['x-v2-10', 'x-v2-09.zip', 'x-v2-02.part', 'x-v2', 'x-v2-09']
    names += [f'x-v2-{i:02d}' for i in range(9)]
    found = find_pieces([tmp_path / name for name in names])
    assert [p.name for p in found] == [f'x-v2-{i:02d}' for i in range(11)]


FAKE = """#!/bin/sh
echo "$0 $@" >> {log}
{action}
"""


def install_fake(folder, tool, action):
    folder.mkdir(exist_ok=True)
    script = folder / tool
    script.write_text(FAKE.format(log=folder / 'log', action=action))
    script.chmod(0o755)


@pytest.mark.parametrize('tool', RAR_TOOLS)
def test_a_tool_is_called_once_for_the_whole_archive(
    tmp_path, monkeypatch, tool
):
    names = {
        'unrar': '"$7"',
        'unar': '"$5"',
        '7z': '"${4#-o}"',
        '7zz': '"${4#-o}"',
        'bsdtar': '"$5"',
    }
    action = f'cd {names[tool]} && mkdir a && printf 123 > "a/#1;.avi"'
    install_fake(tmp_path / 'bin', tool, action)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:/bin:/usr/bin')
    monkeypatch.setattr(archives, 'RAR_TOOLS', {tool: RAR_TOOLS[tool]})
    write_rar(tmp_path / 'a b.rar', {'a/#1;.avi': b'123'}, COMPRESSED)
    unpacked = unpack_in(tmp_path, tmp_path / 'a b.rar')
    assert unpacked == {'a/#1;.avi': b'123'}
    assert len((tmp_path / 'bin' / 'log').read_text().splitlines()) == 1


def test_after_a_tool_that_fails_the_next_is_tried(tmp_path, monkeypatch):
    install_fake(tmp_path / 'bin', 'unar', 'echo no memory; exit 2')
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:/bin:/usr/bin')
    tools = {tool: RAR_TOOLS[tool] for tool in ('unar', 'bsdtar')}
    monkeypatch.setattr(archives, 'RAR_TOOLS', tools)
    write_rar(tmp_path / 'a.rar', {'a.avi': b'123'}, COMPRESSED)
    if not any(Path(f, 'bsdtar').exists() for f in ('/bin', '/usr/bin')):
        with pytest.raises(UserError, match='exit status 2, no memory'):
            unpack_in(tmp_path, tmp_path / 'a.rar')
        (tmp_path / 'into').rmdir()
    install_fake(tmp_path / 'bin', 'bsdtar', 'printf 123 > "$5/a.avi"')
    assert unpack_in(tmp_path, tmp_path / 'a.rar') == {'a.avi': b'123'}


def test_rarfile_reads_the_archives_of_these_tests(tmp_path):
    write_rar(tmp_path / 'a.rar', {'a/ü.avi': b'123'})
    with rarfile.RarFile(tmp_path / 'a.rar', errors='strict') as archive:
        assert archive.read('a/ü.avi') == b'123'


def test_an_interrupted_run_says_so_and_leaves_nothing(tmp_path):
    install_fake(tmp_path / 'bin', 'unrar', 'exec sleep 60')
    root = tmp_path / 'root'
    root.mkdir()
    write_rar(root / 'UCF50.rar', {'UCF50/a.avi': b'x'}, COMPRESSED)
    tool = Path(__file__).parents[2] / 'tools' / 'prepare_dataset.py'
    status, output = interrupt(
        'import sys, warm_process as p; p.run_main(sys.argv[1:])',
        [tool, 'ucf50', '--root', root],
        (tmp_path / 'bin' / 'log').exists,
        env={'PATH': f'{tmp_path / "bin"}:/bin:/usr/bin'},
    )
    assert status == 130
    assert 'stopped; rerun the command to resume' in output
    assert 'Traceback' not in output
    assert [path.name for path in root.iterdir()] == ['UCF50.rar']


def test_a_zip_with_a_name_that_is_not_utf8_is_reported(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, {'ü.avi': b''})
    path.write_bytes(path.read_bytes().replace('ü'.encode(), b'\xff\xfe'))
    with pytest.raises(UserError, match='is broken or ends early .*utf-8'):
        unpack_in(tmp_path, path)
