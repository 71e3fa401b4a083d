"""Downloads from a local server that fails in the usual ways."""

import gzip
import hashlib
from types import SimpleNamespace

import pytest
from failing_server import DATA

from dvfl_mmaction import UserError, download
from dvfl_mmaction.progress import Progress

SHA256 = hashlib.sha256(DATA).hexdigest()


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


def test_a_connection_that_closes_without_a_response_is_retried(
    server, tmp_path
):
    server.drops = 2
    fetch(server, tmp_path / 'a.rar')
    assert len(server.requests) == 3


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
    with pytest.raises(UserError, match='is no short list.*; download the'):
        download.fetch_lines(server.url('/list.txt'))


def test_a_list_that_is_no_text_is_refused(server):
    server.files['/list.txt'] = b'\xff\xfe'
    with pytest.raises(UserError, match='no list of files in UTF-8; download'):
        download.fetch_lines(server.url('/list.txt'))


def test_a_redirect_is_followed(server, tmp_path):
    server.files['/b'] = DATA
    server.files['/a.rar'] = server.url('/b')
    with Progress('a') as progress:
        download.fetch(server.url('/a.rar'), tmp_path / 'a', progress)
    assert (tmp_path / 'a').read_bytes() == DATA


@pytest.mark.parametrize(
    ('headers', 'wanted'),
    [
        ({'ETag': '"one"', 'Last-Modified': 'Mon'}, '"one"'),
        ({'ETag': 'W/"one"', 'Last-Modified': 'Mon'}, 'Mon'),
        ({'ETag': 'W/"one"'}, ''),
    ],
)
def test_a_weak_tag_identifies_no_part(headers, wanted, tmp_path):
    part = tmp_path / 'a.rar.part'
    download.write_state(part, SimpleNamespace(headers=headers), 7)
    assert download.read_state(part) == dict(validator=wanted, total=7)
