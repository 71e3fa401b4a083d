"""Hashes of archives: published, or recorded at the first download."""

from pathlib import Path

from ..datasets.annotations import write_lines
from ..errors import UserError
from ..files import hash_file

RECORD = 'checksums.txt'


def read_record(root: Path) -> dict[str, str]:
    """Recorded sha256 per file; names are paths in ``root``."""
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
    """``algorithm:hash`` of a file, or an empty string if none is known."""
    if published:
        return published
    known = read_record(root).get(name)
    return f'sha256:{known}' if known else ''


def verify(
    root: Path, path: Path, published: str = '', part: Path | None = None
):
    """Compare a file with its published hash, else with the recorded one.

    Args:
        root: The data set's folder.
        path: The file, in ``root``.
        published: ``algorithm:hash``, or an empty string.
        part: Where the file is before it gets its name.

    Raises:
        UserError: If they differ.
    """
    name = path.relative_to(root).as_posix()
    algorithm, _, wanted = expected(root, name, published).partition(':')
    if not wanted:
        return
    found = hash_file(part or path, algorithm)
    if found != wanted:
        source = 'published' if published else f'in {root / RECORD}'
        raise UserError(
            f'{path} has {algorithm} {found}, but the one {source} is '
            f'{wanted}; download the file again, or unpack it by hand if you '
            'trust it'
        )
