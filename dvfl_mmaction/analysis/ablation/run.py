"""Plan and do the runs of an ablation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ...errors import UserError
from ...files import NO_SPACE
from .execution import execute, finished
from .inputs import check_inputs
from .plan import plan_runs
from .report_checks import check_report
from .results import stored_entries, write_results
from .scheduling import print_line, run_all, slot_environments
from .settings import Setting
from .submission import SubmititLauncher


@contextmanager
def full_disk_in_one_line() -> Iterator[None]:
    """Report a full disk as a mistake of the user."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        where = f'{error.filename}: ' if error.filename else ''
        raise UserError(
            f'the disk is full ({where}{error.strerror}); free some space, '
            'and rerun the command to resume'
        ) from error


@full_disk_in_one_line()
def run_ablation(
    settings: Sequence[Setting],
    seeds: Sequence[int],
    out: Path,
    jobs: int = 1,
    cluster: str | None = None,
    parameters: dict | None = None,
    dry_run: bool = False,
    pool: str | None = None,
    compared: Sequence[str] = (),
) -> list[str]:
    """Do what is left of an ablation, and write its results.

    Args:
        settings: The settings.
        seeds: Seeds of each setting.
        out: Folder of runs and results.
        jobs: Runs at once.
        cluster: Of submitit, ``'local'`` or ``'slurm'``; processes of this
            machine if it is empty.
        parameters: Of submitit.
        dry_run: Only list the runs.
        pool: Axis that the report joins.
        compared: Names of settings that the report compares.

    Returns:
        Names of the runs that failed.

    Raises:
        UserError: If a file changed after a run read it, the report needs
            what no run has, or the disk is full.
        KeyboardInterrupt: After Ctrl-C, with a line on how to resume.
    """
    runs, notes = plan_runs(settings, seeds, out)
    check_inputs(runs)
    known = [*(run.describe() for run in runs), *stored_entries(out).values()]
    check_report(known, pool, compared)
    for line in notes:
        print_line(line)
    todo = [run for run in runs if not finished(run)]
    shared = {run.recording for run in runs if run.recording}
    print_line(
        f'{len(runs)} runs, {len(runs) - len(todo)} of them finished; '
        f'{len(shared)} recorded teachers are shared'
    )
    if dry_run:
        for run in runs:
            state = 'to do' if run in todo else 'finished'
            print(f'{state}: {run.title} ({run.folder})')
        return []
    launch = partial(execute, report=print_line)
    if cluster:
        launch = SubmititLauncher(out / 'submitit', cluster, parameters or {})
    failed = run_all(
        todo,
        launch,
        slot_environments(jobs),
        lambda: write_results(out, runs),
        print_line,
    )
    write_results(out, runs)
    return [run.title for run in failed]
