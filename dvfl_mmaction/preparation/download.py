"""Fetching files over https: resumed, retried and checked."""

import http.client
import ipaddress
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import UserError
from .disk_space import check_space
from .progress import Progress

CHUNK = 1 << 18
ATTEMPTS = 5  # in a row that bring nothing
TIMEOUT = 60  # seconds without a byte
FIRST_WAIT = 2.0  # seconds, doubled with every attempt
PASSING = (408, 425, 429, 500, 502, 503, 504)


class Interrupted(Exception):
    """A fetch that may go on where it stopped."""


def fetch(
    url: str,
    target: Path,
    progress: Progress,
    size: int = 0,
    digest: str = '',
):
    """Fetch a file to ``target``, by way of ``target.part``.

    What an earlier run left is gone on with, if the server still has the
    same file.

    Args:
        url: An https link; http only for this machine itself, or if
            ``digest`` is a sha256.
        target: Path of the file; its folder is made.
        progress: Shows this file.
        size: Bytes as published, 0 if unknown.
        digest: The hash that the caller is going to check.

    Raises:
        UserError: If the server cannot be reached, or what it gives is not
            that file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + '.part')
    failures = 0
    while True:
        before = length(part)
        try:
            fetch_the_rest(url, part, progress, size, digest)
            break
        except Interrupted as error:
            failures = 0 if length(part) > before else failures + 1
            if failures >= ATTEMPTS:
                raise UserError(
                    f'{url} broke off {failures} times in a row ({error}); '
                    'run the same command again later: it goes on from '
                    f'{length(part)} bytes'
                ) from None
            time.sleep(FIRST_WAIT * 2**failures / 2)
    os.replace(part, target)
    state_of(part).unlink(missing_ok=True)


def fetch_the_rest(
    url: str, part: Path, progress: Progress, size: int, digest: str
):
    """One attempt; raises :class:`Interrupted` if it ends early."""
    have = length(part)
    state = read_state(part) if have else {}
    headers = {}
    if have:
        headers['Range'] = f'bytes={have}-'
        if state.get('validator'):
            headers['If-Range'] = state['validator']
    try:
        with open_url(url, headers, digest) as answer:
            total = total_of(answer, url, part, have, size)
            if answer.status == 206 and state.get('total', total) != total:
                part.unlink()  # another file than the one that was begun
                raise Interrupted('the file has changed')
            if answer.status == 200:
                have = 0
            check_space(part.parent, max(total - have, 0), f'for {url}')
            write_state(part, answer, total)
            progress.restart(have, total or None)
            with part.open('ab' if have else 'wb') as file:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    progress.advance(len(chunk))
    except (http.client.HTTPException, OSError) as error:
        if isinstance(error, OSError) and error.errno == 28:
            raise  # no space left: trying again brings nothing
        raise Interrupted(str(error) or type(error).__name__) from None
    if total and length(part) < total:
        raise Interrupted(f'{length(part)} of {total} bytes came')
    if total and length(part) > total:
        part.unlink()
        raise Interrupted('more came than was announced')


def total_of(answer, url: str, part: Path, have: int, size: int) -> int:
    """Bytes of the whole file, 0 if nobody says."""
    if answer.headers.get_content_type() == 'text/html':
        raise UserError(
            f'{url} gave a web page instead of {part.stem}; open it in a '
            f'browser, fetch the file by hand and put it in {part.parent}'
        )
    announced = answer.headers.get('Content-Length')
    total = int(announced) if announced else 0
    if answer.status == 206:
        begin, _, whole = parse_range(answer.headers.get('Content-Range', ''))
        if begin != have:
            part.unlink()
            raise Interrupted('the server sent another range')
        total = whole or (have + total if total else 0)
    if size and total and total != size:
        raise UserError(
            f'{url} has {total} bytes, but {size} are published; if the file '
            f'is to be trusted, fetch it by hand and put it in {part.parent}'
        )
    return total or size


def parse_range(text: str) -> tuple[int, int, int]:
    """'bytes 5-9/10' -> (5, 9, 10), with -1 and 0 for what is not there."""
    span, _, whole = text.removeprefix('bytes ').partition('/')
    begin, _, end = span.partition('-')
    return (
        int(begin) if begin.isdecimal() else -1,
        int(end) if end.isdecimal() else -1,
        int(whole) if whole.isdecimal() else 0,
    )


def open_url(url: str, headers: dict[str, str], digest: str):
    """Ask for a URL; what no second attempt mends is a UserError."""
    check_scheme(url, digest)
    request = urllib.request.Request(
        url, headers={'User-Agent': 'dvfl_mmaction', **headers}
    )
    opener = urllib.request.build_opener(Redirects(digest))
    host = urlsplit(url).hostname
    try:
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and 'Range' in headers:
            return Complete(error, headers['Range'])
        if error.code in PASSING:
            raise Interrupted(f'status {error.code}') from None
        raise UserError(
            f'{url} answers with status {error.code} ({error.reason}); look '
            'for the file at the official page, and put it there by hand'
        ) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise UserError(
                f'the certificate of {host} cannot be verified '
                f'({error.reason.verify_message}); fetch {url} with a '
                'browser and put it there by hand'
            ) from None
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise Interrupted(str(error.reason)) from None
        raise UserError(
            f'{host} cannot be reached ({error.reason}); connect to the '
            f'network, or fetch {url} elsewhere and put it there by hand'
        ) from None


class Complete:
    """The answer to a range that begins where the file ends.

    A file of just that length is whole; any other is begun anew, by way of
    a range that does not fit.
    """

    status = 206

    def __init__(self, error: urllib.error.HTTPError, asked: str):
        have = int(asked.removeprefix('bytes=').rstrip('-'))
        whole = parse_range(error.headers.get('Content-Range', ''))[2]
        begin = have if whole == have else -1
        self.headers = http.client.HTTPMessage()
        self.headers['Content-Type'] = 'application/octet-stream'
        self.headers['Content-Range'] = f'bytes {begin}-{have}/{whole}'
        error.close()

    def read(self, amount):
        return b''

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects, but none from https to http."""

    def __init__(self, digest: str):
        self.digest = digest

    def redirect_request(self, request, file, code, message, headers, url):
        check_scheme(url, self.digest)
        return super().redirect_request(
            request, file, code, message, headers, url
        )


def check_scheme(url: str, digest: str):
    """Refuse what could be changed on its way without being noticed."""
    parts = urlsplit(url)
    if parts.scheme == 'https':
        return
    if parts.scheme == 'http' and (
        digest.startswith('sha256:') or is_here(parts.hostname)
    ):
        return
    raise UserError(
        f'{url} is no https link, and no sha256 of the file is known; fetch '
        'it by hand if it is to be trusted'
    )


def is_here(host: str | None) -> bool:
    """Whether it is an address of this machine's own loopback."""
    try:
        return ipaddress.ip_address(host or '').is_loopback
    except ValueError:
        return host == 'localhost'


def fetch_lines(url: str) -> list[str]:
    """The lines of a short text file."""
    try:
        with open_url(url, {}, '') as answer:
            text = answer.read(1 << 20).decode('utf-8')
    except (Interrupted, http.client.HTTPException, OSError) as error:
        raise UserError(f'{url} broke off ({error}); run it again') from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def state_of(part: Path) -> Path:
    """File beside a part, with what tells whether the server's changed."""
    return part.with_name(part.name + '.json')


def read_state(part: Path) -> dict:
    try:
        return json.loads(state_of(part).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}


def write_state(part: Path, answer, total: int):
    tag = answer.headers.get('ETag', '')
    if tag.startswith('W/'):  # a weak one does not vouch for every byte
        tag = ''
    state = {'validator': tag or answer.headers.get('Last-Modified', '')}
    if total:
        state['total'] = total
    state_of(part).write_text(json.dumps(state), encoding='utf-8')
