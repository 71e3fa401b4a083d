"""A context that nested and concurrent uses share."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager


class SharedContext(AbstractContextManager):
    """Enter a context with the first use, and leave it with the last one.

    Process-wide state is then changed once and restored once, also if uses
    are nested or threads overlap.

    Args:
        create: Returns the context manager.
    """

    def __init__(self, create: Callable[[], AbstractContextManager]):
        self._create, self._entered = create, None
        self._uses, self._lock = 0, threading.Lock()

    def __enter__(self):
        with self._lock:
            if not self._uses:
                entered = self._create()
                entered.__enter__()
                self._entered = entered
            self._uses += 1

    def __exit__(self, *error):
        with self._lock:
            self._uses -= 1
            if not self._uses:
                entered, self._entered = self._entered, None
                entered.__exit__(None, None, None)
