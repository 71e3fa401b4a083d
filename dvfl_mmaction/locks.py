"""Locks of folders; they end with the last process that holds them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError
from .files import cannot_write, file_id

try:
    import fcntl
except ImportError:
    fcntl = None  # Windows

# Of file systems without locks.
NOT_SUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
held = set()  # descriptors of this process


def close_held():
    """Let a new child hold no lock, since it may outlive a killed parent."""
    for descriptor in held:
        os.close(descriptor)
    held.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=close_held)


@contextmanager
def hold(path: Path, refusal: str) -> Iterator[None]:
    """Lock a file while the context lasts; it is removed at the end.

    The file of a process that was killed is not locked, also if its children
    still run. Where the system has no locks, nothing is locked.

    Args:
        path: The lock file; its folder is made.
        refusal: The error if another process holds it.

    Raises:
        UserError: If another process holds it, or it cannot be written.
    """
    if fcntl is None:
        yield
        return
    descriptor = None
    while descriptor is None:
        descriptor = open_locked(path, refusal)
    held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in held:  # else this is a child
            path.unlink(missing_ok=True)
            held.remove(descriptor)
            os.close(descriptor)


def open_locked(path: Path, refusal: str) -> int | None:
    """Open and lock a file; None if its holder has removed it meanwhile.

    Arguments and errors as :func:`hold`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        is_free = try_lock(descriptor)
    except OSError as error:
        is_free = error.errno in NOT_SUPPORTED
    status = os.fstat(descriptor)
    if is_free and file_id(path) == (status.st_dev, status.st_ino):
        return descriptor
    os.close(descriptor)
    if not is_free:
        raise UserError(refusal)
    return None


def try_lock(descriptor: int) -> bool:
    """Whether the lock was free; then it is held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
