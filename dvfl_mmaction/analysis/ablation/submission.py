"""Runs as jobs of submitit, on Slurm or on this machine."""

import threading
from pathlib import Path

from ...errors import UserError
from .execution import execute
from .plan import Run
from .stopping import Stopped

POLL_S = 1


class SubmititLauncher:
    """Submit each run as a job and wait for it.

    Args:
        folder: Folder of submitit's files and logs.
        cluster: ``'local'`` (processes on this machine) or ``'slurm'``.
        parameters: Of submitit's ``update_parameters``, such as
            ``timeout_min`` and ``slurm_partition``.

    Raises:
        UserError: If submitit is missing, or rejects the parameters.
    """

    def __init__(self, folder: Path, cluster: str, parameters: dict):
        try:
            import submitit
        except ImportError:
            raise UserError(
                '--launcher submitit needs submitit; run: pip install '
                "'dvfl_mmaction[slurm]'"
            ) from None
        try:
            self.executor = submitit.AutoExecutor(folder, cluster=cluster)
            self.executor.update_parameters(**parameters)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise UserError(
                f'submitit cannot use --cluster {cluster} with {parameters}: '
                f'{error}; correct --submitit, or give another --cluster'
            ) from None
        self.lock = threading.Lock()  # its executor is not thread-safe

    def __call__(
        self, run: Run, environment: dict, stop: threading.Event
    ) -> dict:
        """Do a run in a job; cancel the job if ``stop`` is set.

        Slurm gives a job its GPUs, so ``environment`` is for the local
        cluster only.
        """
        if self.executor.cluster == 'slurm':
            environment = {}
        with self.lock:
            job = self.executor.submit(execute, run, environment)
        while not job.done():
            if stop.wait(POLL_S):
                job.cancel()
                job.wait()
                raise Stopped
        return job.result()
