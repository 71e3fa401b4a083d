"""Do runs side by side, report progress, and stop them together."""

import errno
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from ...files import NO_SPACE
from ...preparation.clips.pools import count_cores
from ...preparation.clips.runner import format_duration
from .execution import mark_failed
from .plan import Run
from .stopping import Stopped


def slot_environments(jobs: int) -> list[dict]:
    """Environment variables of each of the processes that run at once.

    Each gets one GPU, in turns, where there are GPUs, and its share of the
    cores as threads. ``OMP_NUM_THREADS`` stays if it is set.
    """
    devices = visible_devices()
    slots = []
    for slot in range(jobs):
        environment = {}
        if devices:
            device = devices[slot % len(devices)]
            environment['CUDA_VISIBLE_DEVICES'] = device
        if 'OMP_NUM_THREADS' not in os.environ:
            threads = max(count_cores() // jobs, 1)
            environment['OMP_NUM_THREADS'] = str(threads)
        slots.append(environment)
    return slots


def visible_devices() -> list[str]:
    """Names of the GPUs that may be used."""
    listed = os.environ.get('CUDA_VISIBLE_DEVICES')
    if listed is not None:
        return [name for name in listed.split(',') if name.strip()]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


def run_all(
    runs: Sequence[Run],
    execute: Callable[[Run, dict, threading.Event], dict],
    slots: Sequence[dict],
    finish: Callable[[], None],
    report: Callable[[str], None],
) -> list[Run]:
    """Do all runs; one that fails does not stop the others.

    A full disk does: the others would fail as well.

    Args:
        runs: The runs, in the order of their start.
        execute: Called in a thread with a run, its environment and the
            event that stops it; returns the run's result.
        slots: Environments; as many runs are done at once.
        finish: Called after each run.
        report: Called with lines to show.

    Returns:
        The runs that failed.

    Raises:
        KeyboardInterrupt: After Ctrl-C or SIGTERM, when all runs ended, with
            a line on how to resume.
        OSError: If the disk is full, when all runs ended.
    """
    free = queue.SimpleQueue()
    for slot in slots:
        free.put(slot)
    stop, start, failed, done = threading.Event(), time.monotonic(), [], 0

    def do(run: Run) -> dict:
        if stop.is_set():
            raise Stopped
        slot = free.get()
        try:
            report(f'{run.title}: started')
            return execute(run, slot, stop)
        except Stopped:
            raise
        except Exception as error:  # of a launcher
            return mark_failed(run, error)
        finally:
            free.put(slot)

    with sigterm_interrupts(), ThreadPoolExecutor(len(slots)) as pool:
        futures = {pool.submit(do, run): run for run in runs}
        try:
            for future in as_completed(futures):
                run, result = futures[future], future.result()
                done += 1
                if result['status'] == 'failed':
                    failed.append(run)
                finish()
                passed = time.monotonic() - start
                left = passed / done * (len(runs) - done)
                report(
                    f'[{done}/{len(runs)}] {run.title}: {outcome(result)}; '
                    f'{60 * done / passed:.2g} runs/min, '
                    f'{format_duration(left)} left'
                )
                if is_full(result):
                    reason = f'{run.title}: {outcome(result)}'
                    raise OSError(errno.ENOSPC, reason)
        except BaseException as error:
            report('stopping')
            stop.set()
            pool.shutdown(cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
            raise KeyboardInterrupt(
                f'stopped; {done - len(failed)} of {len(runs)} runs are '
                'finished; rerun the command to resume'
            ) from None
    return failed


def is_full(result: dict) -> bool:
    """Whether a run failed because the disk is full."""
    text = result.get('error') or ''
    return any(os.strerror(code) in text for code in NO_SPACE)


def outcome(result: dict) -> str:
    """What came of a run, in some words."""
    if result['status'] == 'failed':
        return f'failed, {result["error"]}'
    return f'top-1 {100 * result["top1"]:.1f} %'


@contextmanager
def sigterm_interrupts():
    """Treat SIGTERM as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_line(line: str):
    """Print a line with the time to standard error."""
    now = time.strftime('%H:%M:%S')
    # At once, so that lines of several threads stay apart.
    print(f'{now} {line}\n', end='', file=sys.stderr, flush=True)
