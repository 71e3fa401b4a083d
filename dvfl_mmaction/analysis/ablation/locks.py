"""Locks of folders; they end with the last process that holds them."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import UserError
from ...files import cannot_write
from .stopping import Stopped

WAIT_S = 0.5


@contextmanager
def hold(path: Path) -> Iterator[int]:
    """Lock a file, or refuse.

    Raises:
        UserError: If another process holds it, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        if not try_lock(descriptor):
            raise UserError(
                f'another ablation writes to {path.parent}; wait for it, or '
                'give another --out'
            )
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def wait_for(
    path: Path, stop: threading.Event, report: Callable[[str], None]
) -> Iterator[int]:
    """Lock a file; wait while another process holds it.

    A child process that inherits the descriptor holds the lock too. So a
    training that outlives a killed ablation is not started a second time.

    Args:
        path: The lock file.
        stop: Ends the waiting.
        report: Called with a line if there is a wait.

    Yields:
        The descriptor.

    Raises:
        Stopped: If ``stop`` is set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not try_lock(descriptor):
            report(f'waiting for the process that holds {path}')
        while not try_lock(descriptor):
            if stop.wait(WAIT_S):
                raise Stopped
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether the lock was free; then it is held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
