"""Atomic writes, hashes and free disk space."""

import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from rich import filesize

from .errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# Faults of the disk, not of one file: the next file would fail as well.
DISK_FAULTS = (
    *NO_SPACE,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)

SPECIAL = {
    stat.S_ISDIR: 'folder',
    stat.S_ISFIFO: 'named pipe',
    stat.S_ISSOCK: 'socket',
    stat.S_ISCHR: 'device',
    stat.S_ISBLK: 'device',
}


def write_whole(path: Path, content: str | bytes):
    """Write to a temporary file, then rename it; text is UTF-8."""
    if isinstance(content, str):
        content = content.encode('utf-8')
    with whole_file(path) as part:
        part.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path that replaces ``path`` once it is written.

    After an exception it is removed, and ``path`` stays as it was. Several
    processes may write one ``path``; it is then the whole file of the last.
    """
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A temporary path beside ``path``, another one with each call.

    Processes of several machines may have one number. Its name is short
    enough for file systems, which limit names to 255 bytes.
    """
    return path.with_name(f'{path.name[:50]}.{uuid4().hex[:8]}.part')


def check_writable(path: Path):
    """Create the folder of a file, and try to write beside it.

    Raises:
        UserError: If it cannot be written.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, 'it is a folder')
        part.touch()
        part.unlink()
    except OSError as error:
        raise cannot_write(path, error) from None


def check_outputs(
    outputs: Iterable[Path | None], inputs: Iterable[str | Path | None] = ()
):
    """Reject outputs that would replace an input or one another.

    Args:
        outputs: Files to write; None is skipped.
        inputs: What is read; what names no file is skipped.

    Raises:
        UserError: With the first one.
    """
    files = (path for path in inputs if path and not os.path.isdir(path))
    read = {file_id(path) for path in files} - {None}
    written = set()
    for path in filter(None, outputs):
        names = {file_id(path), os.path.realpath(path)} - {None}
        if names & read:
            raise UserError(
                f'{path} is an input and would be overwritten; give another '
                'name'
            )
        if names & written:
            raise UserError(
                f'{path} is given for two outputs; give each a name of its own'
            )
        written |= names


def cannot_write(path: Path, error: OSError) -> UserError:
    """Make the error of a file that cannot be written."""
    return UserError(
        f'{path} cannot be written: {error.strerror or error}; give another '
        'path, or free some space'
    )


def kind_of_special_file(path: str | Path) -> str:
    """Name what a path is if it is no regular file; '' if it is one."""
    mode = os.stat(path).st_mode
    return next((name for kind, name in SPECIAL.items() if kind(mode)), '')


def normal_path(path: str | Path) -> Path:
    """Absolute path of a file without ``..``; links in it stay."""
    normal = Path(os.path.abspath(path))
    if '..' in Path(path).parts and file_id(normal) != file_id(path):
        # A link precedes the '..', which leads out of what it points to.
        return Path(path).parent.resolve() / Path(path).name
    return normal


def file_id(path: str | Path) -> tuple[int, int] | None:
    """What two paths to one file have in common; None without a file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def write_json(path: Path, content):
    """Write plain dicts, lists, strings and numbers as readable JSON."""
    write_whole(path, format_json(content) + '\n')


def format_json(content) -> str:
    """Plain values as readable JSON, which has null for NaN and infinity."""
    try:
        return json.dumps(
            content, indent=1, ensure_ascii=False, allow_nan=False
        )
    except ValueError:
        return format_json(without_nan(content))


def without_nan(content):
    """Plain values with None for NaN and infinity."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def hash_file(
    path: str | Path,
    algorithm: str = 'sha256',
    advance: Callable[[int], None] | None = None,
) -> str:
    """Hash a file's content; returns hexadecimal digits.

    Args:
        path: The file.
        algorithm: A name that :mod:`hashlib` knows.
        advance: Called with the number of bytes of each block read.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, 'rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
            if advance:
                advance(len(block))
    return digest.hexdigest()


def check_space(folder: Path, needed: int, purpose: str):
    """Check for free disk space before the work starts.

    Args:
        folder: The folder to write to; it exists.
        needed: Bytes.
        purpose: The work, such as 'to unpack UCF50.rar'.

    Raises:
        UserError: If fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f'{folder} has {filesize.decimal(free)} free, but '
            f'{filesize.decimal(needed)} are needed {purpose}; free some '
            'space, or give a folder on another disk'
        )
