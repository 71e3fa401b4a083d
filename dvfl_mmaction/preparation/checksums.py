"""Hashes of archives: the published ones, and those of the first fetch."""

from collections.abc import Callable
from pathlib import Path

from ..datasets.annotations import write_lines
from ..errors import UserError
from ..files import hash_file

RECORD = 'checksums.txt'


def read_record(root: Path) -> dict[str, str]:
    """sha256 of files in ``root``, by their paths in it."""
    path = root / RECORD
    if not path.is_file():
        return {}
    lines = path.read_text(encoding='utf-8').splitlines()
    pairs = (line.split('  ', 1) for line in lines if '  ' in line)
    return {name: digest for digest, name in pairs}


def record(root: Path, name: str, digest: str):
    """Add a line to ``checksums.txt``, which ``sha256sum -c`` reads."""
    known = {**read_record(root), name: digest}
    write_lines(root / RECORD, [f'{d}  {n}' for n, d in sorted(known.items())])


def expected(root: Path, name: str, published: str) -> str:
    """``algorithm:hash`` that a file should have, or an empty string."""
    if published:
        return published
    known = read_record(root).get(name)
    return f'sha256:{known}' if known else ''


def check(
    root: Path,
    path: Path,
    published: str = '',
    advance: Callable[[int], None] = lambda amount: None,
):
    """Compare a file with its published hash, else with the recorded one.

    Raises:
        UserError: If they differ.
    """
    name = path.relative_to(root).as_posix()
    wanted = expected(root, name, published)
    if not wanted:
        return
    algorithm, _, wanted = wanted.partition(':')
    came = hash_file(path, algorithm, advance)
    if came != wanted:
        source = 'published' if published else f'in {root / RECORD}'
        raise UserError(
            f'{path} has {algorithm} {came}, but the one {source} is '
            f'{wanted}; fetch the file again, or, if you trust it, unpack it '
            'by hand'
        )
