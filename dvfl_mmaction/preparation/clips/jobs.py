"""Work on many clips, by processes of which any may die."""

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

SAMPLE = 16  # clips that an estimate is made from
QUIET_S = 30  # between lines where there is no terminal for a bar


@dataclass
class Outcome:
    """What came of one job.

    Attributes:
        job: The job.
        value: What the function returned, if it did.
        error: Why it did not, one line: an exception that was not expected,
            or the end of its process.
        seconds: Time that it took, waiting not counted.
    """

    job: Any
    value: Any = None
    error: str | None = None
    seconds: float = 0.0


def run_jobs(
    function: Callable, jobs: list, workers: int
) -> Iterator[Outcome]:
    """``function(job)`` for each job, in processes; in order of completion.

    A job that ends its process, as a fault in a decoder's C code does, is
    one failed outcome: another process takes its place. Ctrl-C reaches the
    caller alone. The processes end when the iterator is closed.

    Args:
        function: Can be pickled, as what it returns can.
        jobs: Can be pickled.
        workers: Processes.
    """
    # Fork starts in milliseconds; elsewhere than on Linux it is not safe.
    context = multiprocessing.get_context(
        'fork' if sys.platform == 'linux' else 'spawn'
    )
    waiting, busy = deque(jobs), {}

    def hire():
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(function, theirs, ours), daemon=True
        )
        process.start()
        theirs.close()  # so that the end of the process ends the pipe
        give(ours, process)

    def give(connection, process):
        job = waiting.popleft()
        busy[connection] = process, job, time.monotonic()
        with suppress(OSError):  # it has died already, which recv will tell
            connection.send(job)

    try:
        for _ in range(min(workers, len(jobs))):
            hire()
        while busy:
            for connection in wait(list(busy)):
                process, job, start = busy.pop(connection)
                try:
                    outcome = Outcome(job, *connection.recv())
                except (EOFError, OSError):
                    connection.close()
                    process.join()
                    outcome = Outcome(
                        job,
                        error=f'the decoder crashed ({end_of(process)})',
                        seconds=time.monotonic() - start,
                    )
                    if waiting:
                        hire()
                else:
                    if waiting:
                        give(connection, process)
                    else:
                        # Closing it is no word to go: processes that were
                        # forked later hold a copy of our end.
                        with suppress(OSError):
                            connection.send(None)
                        connection.close()
                        process.join()
                yield outcome
    finally:
        for process, _, _ in busy.values():
            process.kill()
        for connection, (process, _, _) in busy.items():
            process.join()
            connection.close()


def work(function: Callable, connection, others_end):
    """What a process does: jobs from the connection, until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    others_end.close()  # or the parent's death would not be noticed
    while True:
        try:
            job = connection.recv()
        except EOFError:  # the parent has died
            return
        if job is None:
            return
        start = time.monotonic()
        value = error = None
        try:
            value = function(job)
        except Exception as caught:
            reason = f'{type(caught).__name__}: {caught}'
            error = ' '.join(reason.split())
        try:
            connection.send((value, error, time.monotonic() - start))
        except OSError:  # the parent has died
            return


def end_of(process) -> str:
    """How a process ended, in words: SIGSEGV, exit code 3."""
    code = process.exitcode
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f'exit code {code}'


def with_progress(
    outcomes: Iterator[Outcome], total: int, title: str
) -> Iterator[Outcome]:
    """Pass outcomes on, and show their number, speed and the time left.

    A bar on standard error; where that is no terminal, a line now and then.
    The outcomes' iterator is closed with this one.
    """
    console, start, done = Console(stderr=True), time.monotonic(), 0
    shown = start
    # Refreshed from here: no thread is to hold a lock while one forks.
    with (
        closing(outcomes),
        Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            TextColumn('{task.fields[state]}'),
            console=console,
            auto_refresh=False,
            disable=not console.is_terminal,
        ) as bar,
    ):
        task = bar.add_task(title, total=total, state='')
        for outcome in outcomes:
            yield outcome
            done += 1
            now = time.monotonic()
            quiet = 0.2 if console.is_terminal else QUIET_S
            if now - shown < quiet and done < total:
                continue
            shown, rate = now, done / max(now - start, 1e-9)
            left = in_words((total - done) / rate)
            state = f'{done}/{total} clips, {rate:.1f} clips/s, {left} left'
            bar.update(task, completed=done, state=state, refresh=True)
            if not console.is_terminal:
                print(f'{title}: {state}', file=sys.stderr, flush=True)


def even_sample(jobs: list, size: int = SAMPLE) -> tuple[list, list]:
    """Some of the jobs, evenly spaced, and the others."""
    size = min(size, len(jobs))
    chosen = {i * len(jobs) // size for i in range(size)}
    return (
        [job for i, job in enumerate(jobs) if i in chosen],
        [job for i, job in enumerate(jobs) if i not in chosen],
    )


def speed(outcomes: list[Outcome], workers: int) -> float:
    """Clips a second that so many processes make, after a sample."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    return workers * len(outcomes) / max(seconds, 1e-9)


def in_words(seconds: float) -> str:
    """A time as hours, minutes and seconds: 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


def count_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def going_on_later():
    """On Ctrl-C, one line that nothing is lost, and exit status 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            '\nstopped; what was done is kept, and the same command goes on '
            'from there',
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(130) from None
