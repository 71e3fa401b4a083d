"""Files are written whole, hashed exactly, and need free space."""

import json
import os
import shutil
from types import SimpleNamespace

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.package_files import whole_folder
from dvfl_mmaction.files import (
    check_outputs,
    check_space,
    check_writable,
    hash_file,
    whole_file,
    write_json,
    write_whole,
)


@pytest.mark.parametrize('content', ['größer\n', b'\x00\xff'])
def test_a_file_is_replaced_by_the_new_content(tmp_path, content):
    path = tmp_path / 'file'
    path.write_bytes(b'older and longer')
    write_whole(path, content)
    wanted = content.encode() if isinstance(content, str) else content
    assert path.read_bytes() == wanted
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_keeps_the_older_content(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    path.write_bytes(b'older')

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b'newer')
    assert path.read_bytes() == b'older'


def test_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / 'file'
    with whole_file(path) as first:
        first.write_text('first')
        check_writable(path)
        write_whole(path, 'second, and longer')
        assert path.read_text() == 'second, and longer'
    assert path.read_text() == 'first'
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_folder_do_not_meet(tmp_path):
    folder, others = tmp_path / 'folder', tmp_path / 'folder.old'
    others.mkdir()  # of the user
    with whole_folder(folder) as first:
        (first / 'first').touch()
        with whole_folder(folder) as second:
            (second / 'second').touch()
        assert [path.name for path in folder.iterdir()] == ['second']
    assert [path.name for path in folder.iterdir()] == ['first']
    assert sorted(tmp_path.iterdir()) == [folder, others]


@pytest.mark.parametrize('letter', ['a', 'é', '折'])
def test_a_file_with_the_longest_name_is_written(tmp_path, letter):
    path = tmp_path / (letter * (255 // len(letter.encode())))
    write_whole(path, 'text')
    assert path.read_text() == 'text'


def test_json_is_readable_text(tmp_path):
    write_json(tmp_path / 'file.json', dict(name='größer', values=[1]))
    assert (tmp_path / 'file.json').read_text(encoding='utf-8') == (
        '{\n "name": "größer",\n "values": [\n  1\n ]\n}\n'
    )


def test_json_has_null_for_what_is_no_number(tmp_path):
    values = dict(loss=float('nan'), best=[float('inf'), 1.5], name='nan')
    write_json(tmp_path / 'file.json', values)
    assert json.loads((tmp_path / 'file.json').read_text()) == dict(
        loss=None, best=[None, 1.5], name='nan'
    )


@pytest.mark.parametrize(
    ('algorithm', 'digest'),
    [
        (
            'sha256',
            'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
        ),
        ('md5', '900150983cd24fb0d6963f7d28e17f72'),
    ],
)
def test_hashes_equal_the_published_ones(tmp_path, algorithm, digest):
    # The hash of 'abc' in FIPS 180-2 and in RFC 1321.
    (tmp_path / 'file').write_bytes(b'abc')
    assert hash_file(tmp_path / 'file', algorithm) == digest


def test_hashing_reports_every_byte_once(tmp_path):
    size = (1 << 22) + 5
    (tmp_path / 'file').write_bytes(bytes(size))
    counts = []
    hash_file(tmp_path / 'file', advance=counts.append)
    assert counts == [1 << 22, 5]


def test_outputs_that_replace_an_input_or_each_other_are_refused(tmp_path):
    a, b, new = (tmp_path / name for name in ('a.mp4', 'b.mp4', 'new.json'))
    a.touch()
    b.symlink_to(a)
    (tmp_path / 'folder').mkdir()
    way = tmp_path / 'folder' / '..' / 'a.mp4'
    for path in (a, b, way):
        with pytest.raises(UserError, match='is an input and would be overw'):
            check_outputs([None, new, path], [None, 'rtsp://host', a])
        with pytest.raises(UserError, match='mp4 is given for two outputs'):
            check_outputs([a, path])
    with pytest.raises(UserError, match='new.json is given for two outputs'):
        check_outputs([new, way.with_name('new.json')])
    check_outputs([a, new], [tmp_path / 'absent', tmp_path])


def test_too_little_space_is_an_error(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: usage)
    check_space(tmp_path, 1000, 'to unpack it')
    with pytest.raises(UserError) as caught:
        check_space(tmp_path, 1001, 'to unpack it')
    assert str(caught.value) == (
        f'{tmp_path} has 1.0 kB free, but 1.0 kB are needed to unpack it; '
        'free some space, or give a folder on another disk'
    )
