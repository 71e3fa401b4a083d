"""Where clips are processed: on this machine, or on a dask cluster."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ...errors import UserError

# Fork starts in milliseconds; it is safe on Linux only.
START_METHOD = 'fork' if sys.platform == 'linux' else 'spawn'
CONTEXT = multiprocessing.get_context(START_METHOD)
CONNECT_ATTEMPTS = 3
CONNECT_TIMEOUT_S = 10  # crashed workers may be restarting


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
        executor = ProcessPoolExecutor(
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
        """How the process of the last executor with one process ended."""
        code = self._context.processes[0].exitcode
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f'exit code {code}'

    def require_workers(self):
        """Nothing to check: the executor reports the end of a process."""


class RecordingContext(type(CONTEXT)):
    """Records the processes of a pool, for their exit codes."""

    def __init__(self):
        self.processes = []

    def Process(self, *args, **kwargs):
        process = WorkerProcess(*args, **kwargs)
        self.processes.append(process)
        return process


class WorkerProcess(CONTEXT.Process):
    """Inherits that Ctrl-C is blocked.

    Otherwise one that comes before ``ignore_interrupts`` has run ends the
    process with a traceback.
    """

    def start(self):
        if not hasattr(signal, 'pthread_sigmask'):  # Windows
            return super().start()
        old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)


class DaskPool:
    """Workers of a dask scheduler; attributes as in :class:`ProcessPool`.

    Args:
        client: A client of the scheduler; must outlive the pool.
        crash: Exception of a task that ends its workers.

    Raises:
        UserError: If the scheduler has no workers.
    """

    def __init__(self, client, crash: type[Exception]):
        self._client = client
        self.crash = crash
        self.require_workers()
        self.workers = sum(client.nthreads().values())
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

    def crash_reason(self) -> str:
        """The exception by which dask reports a task that ends workers."""
        return self.crash.__name__

    def require_workers(self):
        """Raise UserError if the cluster has no workers."""
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError:
            address = self._client.scheduler.address
            raise UserError(
                f'the scheduler at {address} has no workers; start some '
                f'with "dask worker {address}" and rerun the command'
            ) from None


@contextmanager
def open_pool(
    workers: int | None, scheduler: str | None
) -> Iterator[ProcessPool | DaskPool]:
    """A pool of local processes, or of a scheduler if one is given.

    Args:
        workers: Local processes; one per core by default.
        scheduler: Its address, ``tcp://host:port``.

    Raises:
        UserError: If both are given, ``distributed`` is not installed, or
            the scheduler does not answer or has no workers.
    """
    if scheduler and workers:
        raise UserError(
            f'{workers} local workers and the scheduler {scheduler} were '
            'given; give --workers or --scheduler'
        )
    if not scheduler:
        yield ProcessPool(workers)
        return
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise UserError(
            '--scheduler needs dask.distributed, which is not installed; '
            'run "pip install dvfl_mmaction[dask]"'
        ) from None
    try:
        client = connect(Client, scheduler)
    except (OSError, TimeoutError, ValueError) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UserError(
            f'no dask scheduler answers at {scheduler}: {reason}; start '
            'one with "dask scheduler", or omit --scheduler'
        ) from None
    with client:
        yield DaskPool(client, KilledWorker)


def connect(client_type: type, scheduler: str):
    """Connect to a scheduler, also from a machine that stalls.

    distributed asserts that its thread starts within 10 s, which a machine
    with many more processes than cores may miss.

    Raises:
        OSError, TimeoutError, ValueError: As distributed does.
        TimeoutError: If the thread does not start in three attempts.
    """
    for _ in range(CONNECT_ATTEMPTS):
        try:
            return client_type(
                scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False
            )
        except AssertionError:
            continue
    raise TimeoutError("the client's thread does not start on this machine")


def ignore_interrupts():
    """Leave Ctrl-C to the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def count_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
