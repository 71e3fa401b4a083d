"""Progress that several threads share, and the word to stop."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars


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
        self.bars = Bars(
            TextColumn('{task.description}'),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.bars.add_task(title, total=total)

    def __enter__(self):
        self.bars.start()
        return self

    def __exit__(self, *error):
        self.bars.stop()

    def advance(self, amount: int):
        """Count bytes; raises :class:`Stopped` once there is no point."""
        if self.stop.is_set():
            raise Stopped
        self.bars.advance(self.task, amount)

    def restart(self, done: int, total: int | None):
        """The work at hand is ``total`` bytes, ``done`` of them are there."""
        self.bars.update(self.task, completed=done, total=total)


class Share:
    """One job's part of a bar, which is full when the job is done.

    Args:
        progress: The bar.
        size: Bytes that the job was announced with; whatever is counted,
            no more and no fewer reach the bar.
    """

    def __init__(self, progress: 'Progress | Share', size: int):
        self.progress = progress
        self.left = size
        self.stop = progress.stop

    def advance(self, amount: int):
        """Count bytes; raises :class:`Stopped` once there is no point."""
        amount = min(amount, self.left)
        self.left -= amount
        self.progress.advance(amount)

    def finish(self):
        self.advance(self.left)


def in_parallel(work: Callable, items: Iterable, progress: Progress) -> list:
    """``work(item)`` for each, on all cores; results in order of items.

    The first failure, or Ctrl-C, stops the rest and is raised. Threads do:
    zlib, hashing and the tools that unpack rar leave Python's lock.
    """
    items = list(items)
    with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1) or 1) as pool:
        jobs = [pool.submit(work, item) for item in items]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException as error:
            progress.stop.set()
            pool.shutdown(cancel_futures=True)
            ended = [job for job in jobs if not job.cancelled()]
            causes = [job.exception() for job in ended if job.exception()]
            if isinstance(error, Stopped):  # in the wake of which one?
                others = [c for c in causes if not isinstance(c, Stopped)]
                raise (others or [error])[0] from None
            raise
    return [job.result() for job in jobs]
