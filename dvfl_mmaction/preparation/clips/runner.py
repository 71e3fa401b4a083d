"""Process the clips of a data set, with a journal of their results."""

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from .jobs import Outcome, run_jobs
from .journal import Journal
from .pools import open_pool

SAMPLE_SIZE = 16  # clips that an estimate is made from
PLAIN_INTERVAL_S = 30  # between lines where stderr is not a terminal
BAR_INTERVAL_S = 0.2


@dataclass
class ClipTask:
    """What to do with each clip, and with the results.

    Attributes:
        title: A verb: "check", "pack".
        function: Returns the result of a clip by name, a ``result_type``;
            must be picklable. A UserError ends the run.
        result_type: A dataclass of plain values whose first field is
            ``error``, None or a line.
        stamps: By clip; a result is valid as long as the stamp is the same.
        journal: File of the results.
        is_valid: Whether the result of an earlier run still holds.
        after_sample: Gets the outcomes of the sample and the other clips'
            names; may raise UserError.
    """

    title: str
    function: Callable[[str], object]
    result_type: type
    stamps: dict[str, dict]
    journal: Path
    is_valid: Callable[[str, object], bool] = lambda name, result: True
    after_sample: Callable[[list[Outcome], list[str]], None] = (
        lambda outcomes, rest: None
    )


def run_clips(
    task: ClipTask, workers: int | None = None, scheduler: str | None = None
) -> tuple[dict, list[str]]:
    """Process all clips of a task that have no valid result yet.

    Crashes and unexpected exceptions are results with an ``error``. They
    are not written to the journal, so the next run tries them again: lack
    of memory may be the cause.

    Args:
        task: The clips and the function.
        workers: Local processes; one per core by default.
        scheduler: Address of a dask scheduler to use instead.

    Returns:
        All results by clip, in the order of the stamps, and the names of
        the clips that this run processed.

    Raises:
        SystemExit: Status 130, after Ctrl-C.
    """
    with Journal(task.journal) as journal, resume_hint():
        results = {
            name: valid_result(task, name, journal.lookup(name, stamp))
            for name, stamp in task.stamps.items()
        }
        pending = [name for name, result in results.items() if result is None]
        print(f'{len(results)} clips, {len(pending)} to {task.title}')
        if pending:
            with (
                open_pool(workers, scheduler) as pool,
                closing(sample_first(task, pending, pool)) as outcomes,
            ):
                for outcome in outcomes:
                    name, result = outcome.job, outcome.value
                    results[name] = result or task.result_type(outcome.error)
                    if result:
                        journal.append(name, task.stamps[name], asdict(result))
    return results, pending


def valid_result(task: ClipTask, name: str, known: dict | None):
    """A result from the journal; None if it does not hold any more."""
    names = [field.name for field in fields(task.result_type)]
    if not known or not known.keys() >= set(names):
        return None
    result = task.result_type(**{key: known[key] for key in names})
    return result if task.is_valid(name, result) else None


def sample_first(task: ClipTask, names: list[str], pool) -> Iterator[Outcome]:
    """Outcomes of a sample, then, after an estimate, those of the rest."""
    sample, rest = even_sample(names)
    tried = []
    for outcome in run_with_progress(task, sample, pool, 'sample'):
        tried.append(outcome)
        yield outcome
    if rest:
        rate = clips_per_second(tried, pool.workers)
        print(
            f'sample of {len(sample)} clips: {rate:.1f} clips/s in '
            f'{pool.workers} processes, {format_duration(len(rest) / rate)} '
            f'for the other {len(rest)}',
            flush=True,
        )
        task.after_sample(tried, rest)
        yield from run_with_progress(task, rest, pool, task.title)


def run_with_progress(
    task: ClipTask, names: list[str], pool, title: str
) -> Iterator[Outcome]:
    """Outcomes, with a bar; see :func:`show_progress`."""
    yield from show_progress(
        run_jobs(task.function, names, pool), len(names), title
    )


def show_progress(
    outcomes: Generator, total: int | None, title: str, unit: str = 'clips'
) -> Iterator:
    """Outcomes of clips, with a bar of their number, rate and time left.

    If standard error is not a terminal, prints a line every 30 s instead.

    Args:
        outcomes: One per clip; closed at the end.
        total: The number of clips, or an estimate; None if unknown.
        title: A verb.
        unit: What an outcome is of.
    """
    console, done = Console(stderr=True), 0
    interval = BAR_INTERVAL_S if console.is_terminal else PLAIN_INTERVAL_S
    start = shown = time.monotonic()
    # Refreshed from here: no thread may hold a lock while a process forks.
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
        line = bar.add_task(title, total=total, state='')
        for outcome in outcomes:
            yield outcome
            done += 1
            now = time.monotonic()
            if now - shown < interval and done != total:
                continue
            shown, rate = now, done / max(now - start, 1e-9)
            if total is None:
                state = f'{done} {unit}, {rate:.1f} {unit}/s'
            else:
                left = format_duration(max(0, total - done) / rate)
                state = (
                    f'{done}/{total} {unit}, {rate:.1f} {unit}/s, {left} left'
                )
            bar.update(line, completed=done, state=state, refresh=True)
            if not console.is_terminal:
                print(f'{title}: {state}', file=sys.stderr, flush=True)


def even_sample(names: list, size: int = SAMPLE_SIZE) -> tuple[list, list]:
    """Some evenly spaced names, and the others."""
    size = min(size, len(names))
    chosen = {i * len(names) // size for i in range(size)}
    return (
        [name for i, name in enumerate(names) if i in chosen],
        [name for i, name in enumerate(names) if i not in chosen],
    )


def clips_per_second(outcomes: list[Outcome], workers: int) -> float:
    """The rate of all workers together, from the time per clip."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    return workers * len(outcomes) / max(seconds, 1e-9)


def format_duration(seconds: float) -> str:
    """A duration as hours, minutes and seconds: 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def resume_hint():
    """On Ctrl-C, print one line on how to resume; exit with status 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            '\nstopped; finished clips are kept; rerun the command to resume',
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(130) from None
