"""Names in archives, which must not lead out of the folder."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ..errors import UserError

CHUNK = 1 << 20


def safe_path(archive: Path, folder: Path, name: str) -> Path:
    """Where an entry goes.

    Raises:
        UserError: If that is not inside of ``folder``.
    """
    path = PurePosixPath(name.replace('\\', '/'))
    outside = path.is_absolute() or '..' in path.parts
    if outside or re.match('[A-Za-z]:', name) or '\0' in name:
        raise UserError(
            f'{archive}: {name!r} points outside of the folder that it is '
            'unpacked to; fetch the archive again from its official page'
        )
    return folder / path


def copy_to(target: Path, source, advance: Callable[[int], None]):
    """Write a stream to a file, whose folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open('wb') as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            advance(len(chunk))
