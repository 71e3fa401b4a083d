"""Downloads from a local server that fails in the usual ways."""

import dataclasses
import gzip
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from miniature_datasets import make_k400, make_ucf50, write_stand_in

from dvfl_mmaction import UserError
from dvfl_mmaction.preparation import (
    catalogue,
    checksums,
    download,
    fetching,
    prepare,
)
from dvfl_mmaction.preparation.progress import Progress

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``files``, with failures.

    Attributes:
        files: Path -> content; a string is a redirect.
        cut_at: Bytes after which a response is cut off, or None.
        ranges: Whether it supports ranges.
        tag: ETag of every file.
        statuses: Statuses of the first responses.
        headers: Further headers of every response.
        requests: (path, Range, If-Range) per request.
        credentials: Authorization per request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.cut_at, self.ranges = {}, None, True
        self.tag, self.statuses, self.requests = '"one"', [], []
        self.kind = 'application/octet-stream'
        self.headers, self.credentials = {}, []

    def handle_error(self, request, address):
        pass  # in some tests the client closes the connection

    def url(self, path):
        return f'http://127.0.0.1:{self.server_port}{path}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get('Range')
        condition = self.headers.get('If-Range')
        self.server.requests.append((self.path, asked, condition))
        self.server.credentials.append(self.headers.get('Authorization'))
        if self.server.statuses:
            self.send_response(self.server.statuses.pop(0))
            self.send_header('Retry-After', '3600')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        data = self.server.files.get(self.path)
        if data is None:
            return self.send_error(404)
        if isinstance(data, str):
            self.send_response(302)
            self.send_header('Location', data)
            return self.end_headers()
        begin = 0
        fits = condition in (None, self.server.tag)
        if asked and self.server.ranges and fits:
            begin = int(re.fullmatch(r'bytes=(\d+)-', asked)[1])
        if begin and begin >= len(data):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(data)}')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        self.send_response(206 if begin else 200)
        if begin:
            span = f'bytes {begin}-{len(data) - 1}/{len(data)}'
            self.send_header('Content-Range', span)
        if self.server.tag:
            self.send_header('ETag', self.server.tag)
        for item in self.server.headers.items():
            self.send_header(*item)
        self.send_header('Content-Type', self.server.kind)
        self.send_header('Content-Length', str(len(data) - begin))
        self.end_headers()
        cut = self.server.cut_at
        end = len(data) if cut is None else begin + cut
        self.wfile.write(data[begin:end])
        self.close_connection = True

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, 'FIRST_WAIT', 0.01)
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.files['/a.rar'] = DATA
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(server, target, **options):
    with Progress('a') as progress:
        download.fetch(server.url('/a.rar'), target, progress, **options)
    assert target.read_bytes() == server.files['/a.rar']
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def test_a_file_is_fetched(server, tmp_path):
    fetch(server, tmp_path / 'a.rar', size=len(DATA))
    assert server.requests == [('/a.rar', None, None)]


def test_an_interrupted_download_is_resumed(server, tmp_path):
    server.cut_at = 300_000
    fetch(server, tmp_path / 'a.rar')
    assert [asked for _, asked, _ in server.requests] == [
        None,
        'bytes=300000-',
        'bytes=600000-',
        'bytes=900000-',
    ]
    assert {condition for *_, condition in server.requests[1:]} == {'"one"'}


def test_after_five_attempts_without_a_byte_a_later_run_resumes(
    server, tmp_path
):
    server.cut_at = 0
    (tmp_path / 'a.part').write_bytes(DATA[:5000])
    with (
        Progress('a') as progress,
        pytest.raises(UserError, match='was interrupted 5 times in a row'),
    ):
        download.fetch(server.url('/a.rar'), tmp_path / 'a', progress)
    assert len(server.requests) == 5
    server.cut_at = None
    fetch(server, tmp_path / 'a')
    assert server.requests[-1][1] == 'bytes=5000-'


def test_the_part_of_an_earlier_run_is_resumed(server, tmp_path):
    (tmp_path / 'a.rar.part').write_bytes(DATA[:7])
    (tmp_path / 'a.rar.part.json').write_text(
        f'{{"validator": "\\"one\\"", "total": {len(DATA)}}}'
    )
    fetch(server, tmp_path / 'a.rar')
    assert server.requests == [('/a.rar', 'bytes=7-', '"one"')]


def test_a_changed_file_is_downloaded_from_the_start(server, tmp_path):
    (tmp_path / 'a.rar.part').write_bytes(b'older')
    (tmp_path / 'a.rar.part.json').write_text('{"validator": "\\"zero\\""}')
    fetch(server, tmp_path / 'a.rar')


def test_without_tags_another_length_counts_as_a_change(server, tmp_path):
    server.tag = ''
    (tmp_path / 'a.rar.part').write_bytes(b'older')
    (tmp_path / 'a.rar.part.json').write_text('{"total": 10}')
    fetch(server, tmp_path / 'a.rar')
    assert [asked for _, asked, _ in server.requests] == ['bytes=5-', None]


def test_a_server_without_ranges_sends_the_whole_file(server, tmp_path):
    server.ranges = False
    (tmp_path / 'a.rar.part').write_bytes(DATA[:100])
    fetch(server, tmp_path / 'a.rar')


@pytest.mark.parametrize('left', [DATA, DATA + b'more'])
def test_a_complete_part_is_kept_and_a_longer_one_is_not(
    server, tmp_path, left
):
    (tmp_path / 'a.rar.part').write_bytes(left)
    fetch(server, tmp_path / 'a.rar')
    assert len(server.requests) == (1 if left == DATA else 2)


def test_transient_statuses_are_retried(server, tmp_path):
    server.statuses = [503, 429, 500]
    fetch(server, tmp_path / 'a.rar')
    assert len(server.requests) == 4  # at once, in spite of Retry-After


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (dict(statuses=[404]), {}, 'answered with status 404'),
        (dict(kind='text/html'), {}, 'sent a web page instead of a.rar'),
        ({}, dict(size=5), '1048576 bytes, but 5 are published'),
    ],
)
def test_anything_but_the_file_is_refused(
    server, tmp_path, change, options, message
):
    vars(server).update(change)
    with pytest.raises(UserError, match=message):
        fetch(server, tmp_path / 'a.rar', **options)
    assert len(server.requests) == 1
    assert not (tmp_path / 'a.rar').exists()


def test_an_unreachable_host_is_reported_in_one_line(tmp_path):
    with Progress('a') as progress, pytest.raises(UserError) as error:
        download.fetch('https://host.invalid/a', tmp_path / 'a', progress)
    assert 'host.invalid cannot be reached' in str(error.value)
    assert '\n' not in str(error.value)


def test_http_needs_a_sha256_except_from_loopback():
    download.check_scheme('https://example.org/a', '')
    download.check_scheme('http://example.org/a', f'sha256:{SHA256}')
    download.check_scheme('http://127.0.0.1:8/a', '')
    for url in ('http://example.org/a', 'ftp://example.org/a', 'file:///a'):
        with pytest.raises(UserError, match='is no https link'):
            download.check_scheme(url, 'md5:0')


def test_a_redirect_away_from_https_is_refused(server, tmp_path):
    server.files['/a.rar'] = 'http://example.org/a.rar'
    with pytest.raises(UserError, match='is no https link'):
        fetch(server, tmp_path / 'a.rar')


@pytest.mark.parametrize('link', ['ftp://127.0.0.1/a.rar', 'file:///etc/a'])
def test_a_redirect_to_another_scheme_is_refused(server, tmp_path, link):
    server.files['/a.rar'] = link
    with pytest.raises(UserError, match='is no https link'):
        fetch(server, tmp_path / 'a.rar')


def test_a_status_that_stays_is_reported_after_five_requests(server, tmp_path):
    server.statuses = [503] * 9
    with pytest.raises(UserError, match='answered 5 times with status 503'):
        fetch(server, tmp_path / 'a.rar')
    assert len(server.requests) == 5


def test_bytes_are_stored_as_sent(server, tmp_path):
    server.headers = {'Content-Encoding': 'gzip'}
    server.files['/a.rar'] = gzip.compress(DATA)
    fetch(server, tmp_path / 'a.rar')


def test_no_password_is_sent(server, tmp_path, monkeypatch):
    (tmp_path / 'netrc').write_text(
        'machine 127.0.0.1 login user password secret\n'
    )
    monkeypatch.setenv('NETRC', str(tmp_path / 'netrc'))
    server.files['/b'] = DATA
    server.files['/a.rar'] = server.url('/b')
    with Progress('a') as progress:
        download.fetch(server.url('/a.rar'), tmp_path / 'a', progress)
    assert server.credentials == [None, None]


def test_a_server_without_tls_is_reported_in_one_line(server, tmp_path):
    url = server.url('/a.rar').replace('http:', 'https:')
    with Progress('a') as progress, pytest.raises(UserError) as error:
        download.fetch(url, tmp_path / 'a', progress)
    assert 'no verified TLS connection to 127.0.0.1' in str(error.value)
    assert '\n' not in str(error.value)


def test_a_list_that_is_too_long_is_refused(server):
    server.files['/list.txt'] = b'x' * (download.MOST_TEXT + 1)
    with pytest.raises(UserError, match='is no short list'):
        download.fetch_lines(server.url('/list.txt'))


def test_a_redirect_is_followed(server, tmp_path):
    server.files['/b'] = DATA
    server.files['/a.rar'] = server.url('/b')
    with Progress('a') as progress:
        download.fetch(server.url('/a.rar'), tmp_path / 'a', progress)
    assert (tmp_path / 'a').read_bytes() == DATA


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


def test_an_archive_that_changed_after_its_download_is_refused(
    server, tmp_path, monkeypatch
):
    make_ucf50(tmp_path, write_stand_in)
    checksums.record(tmp_path, 'UCF50.rar', SHA256)
    with pytest.raises(UserError, match='the one in .*checksums.txt is'):
        prepare('ucf50', tmp_path)
    assert not (tmp_path / 'UCF50').exists()


def test_the_record_has_the_format_of_sha256sum(tmp_path):
    checksums.record(tmp_path, 'b/c d.rar', 'ff')
    checksums.record(tmp_path, 'a.rar', '00')
    text = (tmp_path / 'checksums.txt').read_text()
    assert text == '00  a.rar\nff  b/c d.rar\n'
    assert checksums.read_record(tmp_path) == {
        'a.rar': '00',
        'b/c d.rar': 'ff',
    }


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


@pytest.mark.parametrize(
    'line', ['https://example.org/other.txt', 'https://example.org/..', 'x']
)
def test_a_list_of_parts_that_names_another_file_is_refused(server, line):
    server.files['/list.txt'] = f'{line}\n'.encode()
    archive = dataclasses.replace(
        catalogue.K400.archives[0], url=server.url('/list.txt')
    )
    with pytest.raises(UserError, match=r'but train/part_\*.tar.gz was'):
        fetching.list_parts(archive)


def test_every_public_link_is_https():
    links = [
        archive.url
        for dataset in catalogue.CATALOGUE.values()
        for archive in dataset.archives
        if archive.url
    ]
    assert len(links) == 10
    assert all(link.startswith('https://') for link in links)
    for dataset in catalogue.CATALOGUE.values():
        if dataset.class_names:
            assert len(set(dataset.class_names)) == dataset.num_classes
            assert list(dataset.class_names) == sorted(dataset.class_names)
