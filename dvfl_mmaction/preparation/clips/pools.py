"""Where clips are processed: on this machine, or on a dask cluster."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress

from ...errors import UserError

# Fork starts in milliseconds; it is safe on Linux only.
START_METHOD = 'fork' if sys.platform == 'linux' else 'spawn'
CONNECT_TIMEOUT_S = 10


class ProcessPool:
    """Processes of this machine.

    Attributes:
        crash: Exception of a future whose process may have crashed.
        workers: Clips that are processed at the same time.
        in_flight: Clips to submit ahead.
    """

    crash = BrokenProcessPool

    def __init__(self, workers: int | None = None):
        self.workers = workers or count_cores()
        self.in_flight = 2 * self.workers

    @contextmanager
    def open(self, alone: bool = False) -> Iterator[Executor]:
        """An executor with new processes, which end with the context.

        Args:
            alone: Start one process only.
        """
        self._context = RecordingContext()
        executor = LocalExecutor(
            1 if alone else self.workers, self._context, ignore_interrupts
        )
        try:
            yield executor
        except BaseException:
            for process in self._context.processes:
                process.kill()
            raise
        finally:
            executor.shutdown(cancel_futures=True)

    def crash_reason(self) -> str:
        """How the process of the last pool with one process ended."""
        code = self._context.processes[0].exitcode
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f'exit code {code}'

    def require_workers(self):
        """Nothing to check: the executor reports the end of a process."""

    def __enter__(self) -> 'ProcessPool':
        return self

    def __exit__(self, *_):
        pass


class LocalExecutor(ProcessPoolExecutor):
    """Blocks Ctrl-C while it starts processes, which inherit that.

    Otherwise one that comes before ``ignore_interrupts`` has run ends a
    process with a traceback.
    """

    def submit(self, *args, **kwargs):
        if not hasattr(signal, 'pthread_sigmask'):  # Windows
            return super().submit(*args, **kwargs)
        old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)


class RecordingContext(type(multiprocessing.get_context(START_METHOD))):
    """Records the processes of a pool, for their exit codes."""

    def __init__(self):
        self.processes = []

    def Process(self, *args, **kwargs):
        process = super().Process(*args, **kwargs)
        self.processes.append(process)
        return process


class DaskPool:
    """Workers of a dask scheduler; attributes as in :class:`ProcessPool`.

    Args:
        address: ``tcp://host:port`` of the scheduler.

    Raises:
        UserError: If ``distributed`` is not installed, the scheduler does
            not answer or has no workers.
    """

    def __init__(self, address: str):
        try:
            from distributed import Client, KilledWorker
        except ImportError:
            raise UserError(
                '--scheduler needs dask.distributed, which is not installed; '
                'run "pip install dvfl_mmaction[dask]"'
            ) from None
        self.crash = KilledWorker
        try:
            self._client = Client(
                address, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
        except (OSError, TimeoutError, ValueError) as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise UserError(
                f'no dask scheduler answers at {address}: {reason}; start '
                'one with "dask scheduler", or omit --scheduler'
            ) from None
        self.address = address
        with suppress(TimeoutError):  # crashed workers may be restarting
            self._client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        self.workers = sum(self._client.nthreads().values())
        try:
            self.require_workers()
        except UserError:
            self._client.close()
            raise
        # By default dask tries a task on four workers before it blames the
        # task. Every restarted worker imports torch again, so one suffices.
        self._allowed_failures = self._set_allowed_failures(0)
        # Workers that join later find clips to process, too.
        self.in_flight = max(256, 4 * self.workers)

    @contextmanager
    def open(self, alone: bool = False) -> Iterator[Executor]:
        """An executor of the cluster; open futures are cancelled at the end.

        Args:
            alone: Not used: dask restarts crashed workers itself.
        """
        executor = self._client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)

    def require_workers(self):
        """Raise UserError if the cluster has no workers."""
        if not self._client.nthreads():
            raise UserError(
                f'the scheduler at {self.address} has no workers; start some '
                f'with "dask worker {self.address}" and rerun the command'
            )

    def _set_allowed_failures(self, number: int) -> int:
        """Set the scheduler's ``allowed-failures``; returns the old one."""

        # Local, so that it is pickled by value: the scheduler's machine may
        # not have this package.
        def swap(dask_scheduler):
            old = dask_scheduler.allowed_failures
            dask_scheduler.allowed_failures = number
            return old

        return self._client.run_on_scheduler(swap)

    def crash_reason(self) -> str:
        """The exception by which dask reports a task that ends workers."""
        return self.crash.__name__

    def __enter__(self) -> 'DaskPool':
        return self

    def __exit__(self, *_):
        with suppress(Exception):  # the scheduler may have gone
            self._set_allowed_failures(self._allowed_failures)
        self._client.close()


def make_pool(
    workers: int | None, scheduler: str | None
) -> ProcessPool | DaskPool:
    """A pool of local processes, or of a scheduler if one is given.

    Raises:
        UserError: If both are given, or as :class:`DaskPool` does.
    """
    if scheduler and workers:
        raise UserError(
            f'{workers} local workers and the scheduler {scheduler} were '
            'given; give --workers or --scheduler'
        )
    return DaskPool(scheduler) if scheduler else ProcessPool(workers)


def ignore_interrupts():
    """Leave Ctrl-C to the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def count_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
