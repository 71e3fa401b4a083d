"""Room on the disk, asked for before the work."""

import shutil
from pathlib import Path

from ..errors import UserError


def check_space(folder: Path, needed: int, purpose: str):
    """Refuse work that cannot fit.

    Args:
        folder: Where it is to be put; it exists.
        needed: Bytes.
        purpose: What for, as in 'to unpack UCF50.rar'.

    Raises:
        UserError: If there is less room than that.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f'{in_words(needed)} are needed {purpose}, but {folder} has '
            f'{in_words(free)}; make room, or give a --root on another disk'
        )


def in_words(size: int) -> str:
    """Bytes as people say them: 6.9 GB."""
    for unit, factor in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
        if size >= factor:
            return f'{size / factor:.1f} {unit}'
    return f'{size} bytes'
