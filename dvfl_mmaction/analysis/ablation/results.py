"""Results of an ablation: one file, and a table."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...errors import UserError
from ...files import write_json, write_whole
from ..tables import align
from .execution import RESULT, read_result
from .plan import Run
from .scores import (
    ClipScores,
    agreement,
    cached_scores,
    outcomes,
    scores_of,
)

RESULTS = 'results.json'
OF_SETTING = ('name', 'config', 'labels', 'options', 'axes')
HEADER = (
    '#',
    'setting',
    'seeds',
    'top-1, %',
    'top-5, %',
    'ECE, %',
    'agreement, %',
    'minutes',
    'parameters, M',
    'memory, MB',
)


@dataclass(frozen=True)
class Group:
    """The runs of a setting, one per seed.

    Attributes:
        name: Name of the setting.
        runs: Entries of the results, sorted by seed.
    """

    name: str
    runs: tuple[dict, ...]

    @property
    def kind(self) -> str:
        return self.runs[0]['kind']

    @property
    def labels(self) -> dict:
        return self.runs[0]['labels']

    @property
    def config(self) -> str:
        return self.runs[0]['config']

    def values(self, key: str) -> list[float]:
        """A number of each run that has it."""
        numbers = [run.get(key) for run in self.runs]
        return [n for n in numbers if n is not None]

    def mean(self, key: str) -> float | None:
        """Mean over the seeds; None if no run has the number."""
        values = self.values(key)
        return statistics.fmean(values) if values else None

    def spread(self, key: str) -> float:
        """Sample standard deviation over the seeds; 0 for one seed."""
        values = self.values(key)
        return statistics.stdev(values) if len(values) > 1 else 0.0

    @cached_property
    def scores(self) -> dict[int | None, ClipScores]:
        """Scores per clip by seed."""
        return {run['seed']: scores_of(run) for run in self.runs}


def collect(out: Path, runs: Sequence[Run] = ()) -> list[dict]:
    """Read the results of all runs in a folder, and add the agreement.

    A run of an earlier command gets the name and labels that the present one
    has for its config, also in its ``run.json``: the value that one command
    left at its default may be one of the other's. Its paths are those of the
    folder, which may have been moved.

    Args:
        out: Folder of the ablation.
        runs: Of the present command.
    """
    planned = {run.digest: run.describe() for run in runs}
    entries = []
    for folder, entry in stored_entries(out).items():
        about = planned.get(entry['digest'], {})
        present = entry | {key: about[key] for key in OF_SETTING if about}
        if entry['status'] == 'done':
            present |= located(entry, out)
            if 'scores' in entry and 'right' not in entry:
                present |= outcomes_of(present)
        if present != entry:
            write_json(folder / RESULT, present)
        entries.append(present)
    for entry in entries:
        teacher = entry.get('teacher') and read_result(Path(entry['teacher']))
        if teacher and {entry['status'], teacher['status']} == {'done'}:
            teacher |= located(teacher, out)
            entry['agreement'] = agreement_of(entry, teacher)
    entries.sort(key=lambda e: (e['name'], e['digest'], e['seed'] or 0))
    return entries


def stored_entries(out: Path) -> dict[Path, dict]:
    """The results in a folder as they were written, by folder of the run."""
    paths = [*out.glob('runs/*/*/run.json'), *out.glob('teachers/*/run.json')]
    folders = [path.parent for path in sorted(paths)]
    entries = {folder: read_result(folder) for folder in folders}
    # None: removed since, to try a failed run again
    return {folder: entry for folder, entry in entries.items() if entry}


def located(entry: dict, out: Path) -> dict:
    """Paths of a finished run in the folder of its ablation, if there.

    Args:
        entry: Of the results.
        out: Folder of the ablation; it may have been moved.
    """
    path = Path(entry.get('scores', ''))
    # teachers/NAME/scores.npz or runs/SETTING/seed_N/scores.npz
    depth = 3 if entry['kind'] == 'teacher' else 4
    present = out.joinpath(*path.parts[-depth:])
    if not path.name or not present.is_file():
        return {}
    paths = dict(folder=present.parent, scores=present)
    paths['log'] = present.parent / 'log.txt'
    if entry.get('teacher'):
        paths['teacher'] = out / 'teachers' / Path(entry['teacher']).name
    checkpoint = Path(entry.get('checkpoint') or '')
    moved = present.parent / checkpoint.name
    if moved.is_file() and not checkpoint.is_file():
        paths['checkpoint'] = moved
    return {key: str(value) for key, value in paths.items()}


def outcomes_of(entry: dict) -> dict:
    """The outcomes of a run's clips; empty if its scores are damaged."""
    try:
        return outcomes(cached_scores(entry['scores']))
    except UserError:
        return {}  # a comparison reports it


def agreement_of(entry: dict, teacher: dict) -> float | None:
    """Share of equal classes; None if the scores are damaged."""
    try:
        return agreement(
            cached_scores(entry['scores']), cached_scores(teacher['scores'])
        )
    except UserError:
        return None


def write_results(out: Path, runs: Sequence[Run] = ()) -> list[dict]:
    """Write ``results.json`` and ``table.md``; returns the entries.

    Args:
        out: Folder of the ablation.
        runs: Of the present command.
    """
    entries = collect(out, runs)
    write_json(out / RESULTS, dict(runs=entries))
    write_whole(out / 'table.md', table(group_runs(entries)) + '\n')
    return entries


def group_runs(entries: Sequence[dict]) -> list[Group]:
    """Group the finished runs by setting, the best mean top-1 first."""
    groups = defaultdict(list)
    for entry in entries:
        if entry['status'] == 'done':
            groups[entry['digest'] or entry['name']].append(entry)
    names = Counter(runs[0]['name'] for runs in groups.values())
    made = []
    for digest, runs in groups.items():
        name = runs[0]['name']
        if names[name] > 1:  # such as before and after a change of a config
            name = f'{name} ({digest})'
        runs.sort(key=lambda run: run['seed'] or 0)
        made.append(Group(name, tuple(runs)))
    return sorted(made, key=lambda group: -group.mean('top1'))


def table(groups: Sequence[Group]) -> str:
    """A Markdown table of the settings: mean ± spread over the seeds.

    After ``--pool`` it has the clips that were tested.
    """
    pooled = any('pooled' in run for group in groups for run in group.runs)
    rows = [(*HEADER[:3], 'clips', *HEADER[3:]) if pooled else HEADER]
    for number, group in enumerate(groups, 1):
        parameters = group.mean('parameters')
        memory = group.mean('memory_mb')
        minutes = group.mean('minutes')
        rows.append(
            (
                str(number),
                group.name,
                str(len(group.runs)),
                *([f'{group.mean("clips"):.0f}'] if pooled else []),
                *(percent(group, k) for k in ('top1', 'top5', 'ece')),
                percent(group, 'agreement'),
                '-' if minutes is None else f'{minutes:.1f}',
                f'{parameters / 1e6:.3f}',
                '-' if memory is None else f'{memory:.0f}',
            )
        )
    return align(rows)


def percent(group: Group, key: str) -> str:
    """Mean ± spread in percent."""
    mean = group.mean(key)
    if mean is None:
        return '-'
    text = f'{100 * mean:.1f}'
    if len(group.values(key)) > 1:
        text += f' ± {100 * group.spread(key):.1f}'
    return text
