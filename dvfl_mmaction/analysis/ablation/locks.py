"""A lock that is waited for; it ends with the last process that holds it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...locks import try_lock
from .stopping import Stopped

WAIT_S = 0.5


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
