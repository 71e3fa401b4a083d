"""Run a function on many clips; a crash costs one clip, not the run."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ...errors import UserError
from .pools import DaskPool, ProcessPool

CHECK_INTERVAL_S = 60


@dataclass
class Outcome:
    """The outcome of one job.

    Attributes:
        job: The job.
        value: What the function returned; None if it failed.
        error: Why it failed, one line: an unexpected exception, or the
            crash of its process.
        seconds: Time in the worker, without waiting.
    """

    job: Any
    value: Any = None
    error: str | None = None
    seconds: float = 0.0


def run_jobs(
    function: Callable, jobs: list, pool: ProcessPool | DaskPool
) -> Iterator[Outcome]:
    """``function(job)`` for each job, in order of completion.

    A fault in a decoder's C code ends its process, and a pool of processes
    does not report which job caused it. All jobs in flight are therefore
    run again, one at a time; the one that crashes again is a failed
    outcome. Closing the iterator stops the work.

    Args:
        function: Can be pickled, as its results can. A UserError that it
            raises ends the run; other exceptions are outcomes.
        jobs: Can be pickled.
        pool: Where they run.

    Raises:
        UserError: From the function, or if a worker cannot run jobs at all.
    """
    waiting = deque(jobs)
    while waiting:
        for job in (yield from _run_until_crash(function, waiting, pool)):
            start = time.monotonic()
            if (
                yield from _run_until_crash(function, deque([job]), pool, True)
            ):
                error = f'the decoder crashed ({pool.crash_reason()})'
                seconds = time.monotonic() - start
                yield Outcome(job, error=error, seconds=seconds)


def _run_until_crash(
    function, waiting: deque, pool, alone: bool = False
) -> Generator[Outcome, None, list]:
    """Outcomes until the end or a crash; returns jobs that may have crashed.

    Jobs that were not started stay in ``waiting``.
    """
    suspects, running, finished = [], {}, SimpleQueue()
    with pool.open(alone) as executor:
        while running or (waiting and not suspects):
            while waiting and not suspects and len(running) < pool.in_flight:
                try:
                    future = executor.submit(run_timed, function, waiting[0])
                except BrokenExecutor:
                    break
                running[future] = waiting.popleft()
                future.add_done_callback(finished.put)
            if not running:  # the pool broke while it was idle
                break
            try:
                future = finished.get(timeout=CHECK_INTERVAL_S)
            except Empty:
                pool.require_workers()
                continue
            job = running.pop(future)
            try:
                yield Outcome(job, *result_of(future))
            except pool.crash:
                suspects.append(job)
    return suspects


def run_timed(function: Callable, job) -> tuple[Any, str | None, float]:
    """What a worker does: value, error and seconds of a job."""
    start = time.monotonic()
    value = error = None
    try:
        value = function(job)
    except UserError:
        raise
    except Exception as caught:
        reason = f'{type(caught).__name__}: {caught}'
        error = ' '.join(reason.split())
    return value, error, time.monotonic() - start


def result_of(future) -> tuple[Any, str | None, float]:
    """The result of :func:`run_timed`, or why a worker cannot run it."""
    try:
        return future.result()
    except CancelledError:
        raise UserError(
            'the scheduler dropped the work; check that it runs, and rerun '
            'the command to resume'
        ) from None
    except (ImportError, AttributeError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(
            f'a worker cannot process clips: {reason}; every worker needs '
            'the same version of dvfl_mmaction'
        ) from error


def require_folders(*folders: Path):
    """Raise UserError if the machine that runs this lacks a folder."""
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f'{folder} not found on a worker; every worker needs the '
                'same folders'
            )
