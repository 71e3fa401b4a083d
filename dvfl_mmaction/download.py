"""Download files over https: resumed and retried."""

import ipaddress
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .errors import UserError
from .files import check_space
from .progress import Progress

CHUNK = 1 << 18
ATTEMPTS = 5  # in a row without progress
TIMEOUT = (20, 60)  # seconds to connect, and without a byte
MOST_TEXT = 1 << 20  # bytes of a text file
FIRST_WAIT = 2.0  # seconds, doubled per attempt
RETRIED = (408, 425, 429, 500, 502, 503, 504)


class Interrupted(Exception):
    """A download that can be resumed."""


def fetch(
    url: str,
    target: Path,
    progress: Progress,
    size: int = 0,
    digest: str = '',
    attempts: int = ATTEMPTS,
    verify: Callable[[Path], None] | None = None,
):
    """Download a file to ``target``, by way of ``target.part``.

    Resumes an earlier download if the server still has the same file.

    Args:
        url: An https link; http only for a loopback address, or if
            ``digest`` is a sha256.
        target: Path of the file; its folder is made.
        progress: Bar of this file.
        size: Bytes as published, 0 if unknown.
        digest: The hash that is published, which allows http.
        attempts: Attempts in a row without progress, >= 1.
        verify: Called with the whole file before it gets its name; raises
            UserError if the content is wrong. The file is then renamed to
            ``target.refused``.

    Raises:
        UserError: If the server cannot be reached, or sends another file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(target)
    failures = 0
    while True:
        before = size_of(part)
        try:
            fetch_remainder(url, part, progress, size, digest)
            break
        except Interrupted as error:
            failures = 0 if size_of(part) > before else failures + 1
            if failures >= attempts:
                raise UserError(
                    f'{url} was interrupted {failures} times in a row '
                    f'({error}); rerun the command later to resume at '
                    f'{size_of(part)} bytes'
                ) from None
            time.sleep(FIRST_WAIT * 2**failures / 2)
    try:
        if verify:
            verify(part)
    except UserError as error:
        refused = target.with_name(target.name + '.refused')
        os.replace(part, refused)
        state_path(part).unlink(missing_ok=True)
        raise UserError(f'{error}; it was renamed to {refused}') from None
    os.replace(part, target)
    state_path(part).unlink(missing_ok=True)


def fetch_remainder(
    url: str, part: Path, progress: Progress, size: int, digest: str
):
    """Make one attempt; raises :class:`Interrupted` if it ends early."""
    have = size_of(part)
    state = read_state(part) if have else {}
    headers = {}
    if have:
        headers['Range'] = f'bytes={have}-'
        if state.get('validator'):
            headers['If-Range'] = state['validator']
    with open_url(url, digest, headers) as response:
        partial = response.status_code != 200
        total = total_size(response, url, part, have, size)
        if partial and state.get('total', total) != total:
            part.unlink()
            raise Interrupted('the file on the server has changed')
        if response.status_code == 416:
            return  # the part is the whole file
        have = have if partial else 0
        check_space(part.parent, max(total - have, 0), f'for {url}')
        write_state(part, response, total)
        progress.restart(have, total or None)
        with part.open('ab' if have else 'wb') as file:
            for chunk in read_chunks(response):
                file.write(chunk)
                progress.advance(len(chunk))
    if total and size_of(part) < total:
        raise Interrupted(f'received {size_of(part)} of {total} bytes')
    if total and size_of(part) > total:
        part.unlink()
        raise Interrupted('received more than was announced')


def total_size(response, url: str, part: Path, have: int, size: int) -> int:
    """Bytes of the whole file, 0 if unknown."""
    headers = response.headers
    kind = headers.get('Content-Type', '').partition(';')[0].strip().lower()
    if kind == 'text/html' and response.status_code != 416:
        raise UserError(
            f'{url} sent a web page instead of {part.stem}; open it in a '
            f'browser, download the file by hand and put it in {part.parent}'
        )
    total = int(headers.get('Content-Length') or 0)
    if response.status_code != 200:
        begin, whole = parse_range(headers.get('Content-Range', ''))
        if response.status_code == 416:  # nothing follows the part
            begin = whole
        if begin != have:
            part.unlink(missing_ok=True)
            raise Interrupted('the server sent another range')
        total = whole or (have + total if total else 0)
    if size and total and total != size:
        raise UserError(
            f'{url} has {total} bytes, but {size} are published; if you trust '
            f'the file, download it by hand and put it in {part.parent}'
        )
    return total or size


def parse_range(text: str) -> tuple[int, int]:
    """First byte and size: 'bytes 5-9/10' -> (5, 10); -1 and 0 if unknown."""
    span, _, whole = text.removeprefix('bytes ').partition('/')
    begin = span.partition('-')[0]
    return (
        int(begin) if begin.isdecimal() else -1,
        int(whole) if whole.isdecimal() else 0,
    )


class Session(requests.Session):
    """A session that checks the scheme of every link, redirects included.

    It asks for bytes as stored, and sends no password from ``~/.netrc``.
    It repeats a request only if the server answers with a status that may
    pass: a connection that breaks off is resumed by :func:`fetch`.
    """

    def __init__(self, digest: str):
        super().__init__()
        self.digest = digest
        self.auth = lambda request: request
        self.headers['User-Agent'] = 'dvfl_mmaction'
        self.headers['Accept-Encoding'] = 'identity'
        retry = urllib3.Retry(
            ATTEMPTS - 1,
            connect=0,
            read=False,
            other=0,
            status_forcelist=RETRIED,
            backoff_factor=FIRST_WAIT,
            raise_on_status=False,
            respect_retry_after_header=False,  # it may ask for hours
        )
        for scheme in ('https://', 'http://'):
            self.mount(scheme, HTTPAdapter(max_retries=retry))

    def send(self, request, **options):
        check_scheme(request.url, self.digest)
        return super().send(request, **options)

    def rebuild_auth(self, prepared_request, response):
        """Add no password for the server that a redirect names."""


@contextmanager
def open_url(
    url: str, digest: str = '', headers: dict[str, str] | None = None
) -> Iterator[requests.Response]:
    """Request a URL; the body of the response is left to be read.

    Raises:
        Interrupted: If another attempt may succeed.
        UserError: If it cannot.
    """
    with Session(digest) as session:
        try:
            response = session.get(
                url, headers=headers, stream=True, timeout=TIMEOUT
            )
        except requests.RequestException as error:
            raise connection_error(url, error) from None
        with response:
            status = response.status_code
            if status in RETRIED:
                raise UserError(
                    f'{url} answered {ATTEMPTS} times with status {status}; '
                    'rerun the command later to resume'
                )
            if status not in (200, 206) and not (status == 416 and headers):
                raise UserError(
                    f'{url} answered with status {status} ({response.reason})'
                    '; look for the file on the official page, and download '
                    'it by hand'
                )
            yield response


def connection_error(url: str, error: requests.RequestException) -> Exception:
    """What to raise if no response came."""
    cause = error
    while cause.__context__:  # requests and urllib3 each wrap it
        cause = cause.__context__
    wrapped = error.args[0] if error.args else None
    if isinstance(error, requests.Timeout) or isinstance(
        wrapped, urllib3.exceptions.ProtocolError
    ):
        return Interrupted(str(cause) or type(cause).__name__)
    host = urlsplit(url).hostname
    if isinstance(error, requests.exceptions.SSLError):
        return UserError(
            f'no verified TLS connection to {host} ({cause}); set '
            'REQUESTS_CA_BUNDLE to the certificates of your network, or '
            f'download {url} in a browser and put it there by hand'
        )
    return UserError(
        f'{host} cannot be reached ({cause}); check the network, or download '
        f'{url} on another machine and put it there by hand'
    )


def read_chunks(response: requests.Response) -> Iterator[bytes]:
    """The body as sent, without decoding it."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise Interrupted(str(error) or type(error).__name__) from None


def check_scheme(url: str, digest: str):
    """Refuse a link whose content could be changed unnoticed on the way."""
    parts = urlsplit(url)
    if parts.scheme == 'https':
        return
    if parts.scheme == 'http' and (
        digest.startswith('sha256:') or is_loopback(parts.hostname)
    ):
        return
    raise UserError(
        f'{url} is no https link, and no sha256 of the file is published; '
        'download it by hand if you trust it'
    )


def is_loopback(host: str | None) -> bool:
    """Whether a host is a loopback address of this machine."""
    try:
        return ipaddress.ip_address(host or '').is_loopback
    except ValueError:
        return host == 'localhost'


def fetch_lines(url: str) -> list[str]:
    """The lines of a short text file; empty ones are skipped."""
    data = b''
    try:
        with open_url(url) as response:
            for chunk in read_chunks(response):
                data += chunk
                if len(data) > MOST_TEXT:
                    raise UserError(
                        f'{url} is no short list of files; download the '
                        'files by hand'
                    )
    except Interrupted as error:
        raise UserError(
            f'{url} was interrupted ({error}); rerun the command'
        ) from None
    try:
        lines = data.decode('utf-8').splitlines()
    except UnicodeDecodeError:
        raise UserError(
            f'{url} is no list of files in UTF-8; download the files by hand'
        ) from None
    return [line.strip() for line in lines if line.strip()]


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def part_path(target: Path) -> Path:
    """File that holds what has been downloaded of a file."""
    return target.with_name(target.name + '.part')


def state_path(part: Path) -> Path:
    """File beside a part that identifies the server's version of it."""
    return part.with_name(part.name + '.json')


def read_state(part: Path) -> dict:
    try:
        return json.loads(state_path(part).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}


def write_state(part: Path, response, total: int):
    tag = response.headers.get('ETag', '')
    if tag.startswith('W/'):  # a weak tag does not identify every byte
        tag = ''
    state = dict(validator=tag or response.headers.get('Last-Modified', ''))
    if total:
        state['total'] = total
    state_path(part).write_text(json.dumps(state), encoding='utf-8')
