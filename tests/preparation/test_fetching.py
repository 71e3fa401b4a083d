"""Archives are downloaded, verified and recorded."""

import dataclasses
import hashlib

import pytest
from hostile_clips import write_video
from miniature_datasets import make_k400, make_ucf50, write_stand_in

from dvfl_mmaction import UserError
from dvfl_mmaction.preparation import catalogue, checksums, fetching, prepare
from dvfl_mmaction.preparation.clips.check import check_clips
from dvfl_mmaction.preparation.clips.folds import make_folds
from dvfl_mmaction.preparation.clips.pack import pack_clips

SHA256 = hashlib.sha256(b'another file').hexdigest()


def serve(monkeypatch, server, name, root, **changes):
    """Serve the files of a folder as the archives of a data set."""
    dataset = catalogue.CATALOGUE[name]
    for path in root.rglob('*'):
        if path.is_file():
            key = f'/{path.relative_to(root).as_posix()}'
            server.files[key] = path.read_bytes()
            path.unlink()
    archives = []
    for archive in dataset.archives:
        url = server.url(f'/{archive.name}')
        if archive.kind == 'each':
            part = archive.folder
            url = server.url(f'/{part}/list.txt')
            names = [f for f in server.files if f.startswith(f'/{part}/')]
            lines = '\n'.join(server.url(f) for f in sorted(names))
            server.files[f'/{part}/list.txt'] = lines.encode()
        new = dict(url=url, size=0, digest='', **changes)
        archives.append(dataclasses.replace(archive, **new))
    monkeypatch.setitem(
        catalogue.CATALOGUE,
        name,
        dataclasses.replace(dataset, archives=tuple(archives)),
    )


@pytest.mark.parametrize(
    ('name', 'maker'), [('ucf50', make_ucf50), ('k400', make_k400)]
)
def test_a_data_set_is_downloaded_unpacked_and_recorded(
    server, tmp_path, monkeypatch, name, maker
):
    maker(tmp_path / 'source', write_stand_in)
    serve(monkeypatch, server, name, tmp_path / 'source')
    root = tmp_path / 'new' / 'root'
    prepared = prepare(name, root, download=True)
    assert prepared.lists
    record = checksums.read_record(root)
    for file, digest in record.items():
        assert digest == hashlib.sha256(server.files[f'/{file}']).hexdigest()
    wanted = {f[1:] for f in server.files if not f.endswith('list.txt')}
    assert set(record) == wanted - {'a.rar'}
    server.requests.clear()
    prepare(name, root, download=True)
    assert all(path.endswith('list.txt') for path, *_ in server.requests)


@pytest.mark.parametrize(
    ('name', 'maker', 'options'),
    [('ucf50', make_ucf50, dict(groups=(1, 2))), ('k400', make_k400, {})],
)
def test_a_downloaded_data_set_is_checked_divided_and_packed(
    server, tmp_path, monkeypatch, name, maker, options
):
    def write_clip(path):
        write_video(path, 10, codec='mpeg4')

    maker(tmp_path / 'source', write_clip, **options)
    serve(monkeypatch, server, name, tmp_path / 'source')
    root, packed = tmp_path / 'root', tmp_path / 'packed'
    lists = prepare(name, root, download=True).lists.values()
    assert (root / checksums.RECORD).is_file()
    checked = check_clips(root, workers=1)
    assert set(checked.lists) == {
        path.with_stem(f'{path.stem}_checked') for path in lists
    }
    assert not any(checked.lists.values())
    assert make_folds(root, 2).clips == len(checked.facts)
    pack_clips(root, packed, workers=1)
    assert {path.name for path in lists} <= {
        path.name for path in packed.glob('*.txt')
    }
    assert not (packed / checksums.RECORD).exists()


def test_a_file_with_a_wrong_hash_is_refused_and_renamed(
    server, tmp_path, monkeypatch
):
    make_ucf50(tmp_path / 'source', write_stand_in)
    serve(monkeypatch, server, 'ucf50', tmp_path / 'source')
    dataset = catalogue.CATALOGUE['ucf50']
    wrong = dataclasses.replace(dataset.archives[0], digest=f'sha256:{SHA256}')
    monkeypatch.setitem(
        catalogue.CATALOGUE,
        'ucf50',
        dataclasses.replace(dataset, archives=(wrong,)),
    )
    with pytest.raises(UserError, match=f'published is {SHA256}') as error:
        prepare('ucf50', tmp_path / 'root', download=True)
    (left,) = (tmp_path / 'root').iterdir()
    assert left.name == 'UCF50.rar.refused'
    assert str(left) in str(error.value)


def test_a_file_has_its_name_only_once_its_hash_was_compared(
    server, tmp_path, monkeypatch
):
    make_ucf50(tmp_path / 'source', write_stand_in)
    serve(monkeypatch, server, 'ucf50', tmp_path / 'source')
    root, hash_file = tmp_path / 'root', checksums.hash_file
    archive = catalogue.CATALOGUE['ucf50'].archives[0]
    content = server.files[f'/{archive.name}']
    digest = f'sha256:{hashlib.sha256(content).hexdigest()}'
    archive = dataclasses.replace(archive, digest=digest)

    def interrupted(path, algorithm):
        raise KeyboardInterrupt

    monkeypatch.setattr(checksums, 'hash_file', interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch_archive(root, archive, print)
    assert not (root / archive.name).exists()
    monkeypatch.setattr(checksums, 'hash_file', hash_file)
    server.requests.clear()
    fetching.fetch_archive(root, archive, print)
    assert [path.name for path in root.iterdir()] == [archive.name]
    assert server.requests[0][1] == f'bytes={len(content)}-'


def test_files_that_need_registration_are_listed_with_sizes(tmp_path, capsys):
    with pytest.raises(UserError, match='has no public links'):
        prepare('ssv2', tmp_path, download=True)
    output = capsys.readouterr().out
    assert 'registration is needed' in output
    assert '20bn-something-something-v2-[0-9][0-9]* (19.4 GB' in output
    assert '20bn-something-something-download-package-labels.zip' in output


def test_too_little_disk_space_is_reported_before_the_download(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(
        'dvfl_mmaction.files.shutil.disk_usage',
        lambda path: type('Usage', (), dict(free=10**9)),
    )
    with pytest.raises(UserError, match='6.5 GB are needed to download'):
        fetching.fetch_archives(tmp_path, catalogue.UCF50)


def test_what_is_downloaded_needs_no_more_space(tmp_path, monkeypatch):
    """A resumed download needs the space that the first run had."""
    archive = dataclasses.replace(catalogue.UCF50.archives[0], size=1000)
    dataset = dataclasses.replace(catalogue.UCF50, archives=(archive,))
    monkeypatch.setattr(
        'dvfl_mmaction.files.shutil.disk_usage',
        lambda path: type('Usage', (), dict(free=1300)),
    )
    monkeypatch.setattr(fetching, 'fetch_archive', lambda *_: None)
    part = tmp_path / 'UCF50.rar.part'
    part.write_bytes(bytes(700))
    assert fetching.fetch_archives(tmp_path, dataset)
    part.write_bytes(bytes(699))
    with pytest.raises(UserError, match='1.3 kB are needed to download'):
        fetching.fetch_archives(tmp_path, dataset)


@pytest.mark.parametrize(
    'line',
    [
        'https://example.org/other.txt',
        'https://example.org/..',
        'https://[x/part_0.tar.gz',
        'x',
    ],
)
def test_a_list_of_parts_that_names_another_file_is_refused(server, line):
    server.files['/list.txt'] = f'{line}\n'.encode()
    archive = dataclasses.replace(
        catalogue.K400.archives[0], url=server.url('/list.txt')
    )
    with pytest.raises(UserError, match=r'but train/part_\*.tar.gz was'):
        fetching.list_parts(archive)
