"""A progress bar that threads share, and the threads that fill it."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

from rich import progress as bars
from rich.console import Console


class Stopped(Exception):
    """Another thread failed, or the user pressed Ctrl-C."""


class Progress:
    """A bar of bytes on standard error.

    Args:
        title: What is being done.
        total: Bytes, or None if unknown.
    """

    def __init__(self, title: str, total: int | None = None):
        self.stop = threading.Event()
        self.bar = bars.Progress(
            bars.TextColumn('{task.description}'),
            bars.BarColumn(),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.bar.add_task(title, total=total)

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def advance(self, amount: int):
        """Count bytes; raises :class:`Stopped` once ``stop`` is set."""
        if self.stop.is_set():
            raise Stopped
        self.bar.advance(self.task, amount)

    def restart(self, done: int, total: int | None):
        """Set the bar to ``done`` of ``total`` bytes."""
        self.bar.update(self.task, completed=done, total=total)


class Share:
    """The part of a bar that belongs to one job.

    Args:
        progress: The bar.
        size: Bytes of the job. The bar advances by exactly this many, even
            if the job counts fewer or more.
    """

    def __init__(self, progress: 'Progress | Share', size: int):
        self.progress = progress
        self.left = size

    @property
    def stop(self) -> threading.Event:
        return self.progress.stop

    def advance(self, amount: int):
        """Count bytes; raises :class:`Stopped` once ``stop`` is set."""
        amount = min(amount, self.left)
        self.left -= amount
        self.progress.advance(amount)

    def finish(self):
        self.advance(self.left)


def in_parallel(
    function: Callable, items: Iterable, progress: Progress | Share
) -> list:
    """Call ``function(item)`` in one thread per core; keep the order.

    The first failure, or Ctrl-C, stops the other calls and is raised.
    Threads suffice: zlib, hashing and external tools release the GIL.
    """
    items = list(items)
    with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1) or 1) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException as error:
            progress.stop.set()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, Stopped):  # raise what stopped it
                ended = [f for f in futures if not f.cancelled()]
                causes = [f.exception() for f in ended if f.exception()]
                others = [c for c in causes if not isinstance(c, Stopped)]
                raise (others or [error])[0] from None
            raise
    return [future.result() for future in futures]
