"""Results of an ablation: one file, pooled runs, and a table."""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from ...errors import UserError
from ...files import write_json, write_whole
from ..tables import align
from .execution import read_result
from .scores import ClipScores, agreement, join, load_scores, measure
from .settings import setting_name

RESULTS = 'results.json'
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


@lru_cache(maxsize=64)
def cached_scores(path: str) -> ClipScores:
    """Load scores once."""
    return load_scores(Path(path))


def scores_of(run: dict) -> ClipScores:
    """Scores per clip of a run, or of the runs that were pooled."""
    if 'pooled' not in run:
        return cached_scores(run['scores'])
    parts = run['pooled']
    return join(
        [cached_scores(part['scores']) for part in parts.values()],
        list(parts),
    )


def collect(out: Path) -> list[dict]:
    """Read the results of all runs in a folder, and add the agreement."""
    folders = [p.parent for p in sorted(out.glob('runs/*/*/run.json'))]
    folders += [p.parent for p in sorted(out.glob('teachers/*/run.json'))]
    entries = [read_result(folder) for folder in folders]
    for entry in entries:
        teacher = entry.get('teacher') and read_result(Path(entry['teacher']))
        if not (teacher and {entry['status'], teacher['status']} == {'done'}):
            continue
        entry['agreement'] = agreement(
            cached_scores(entry['scores']), cached_scores(teacher['scores'])
        )
    entries.sort(key=lambda e: (e['name'], e['digest'], e['seed'] or 0))
    return entries


def write_results(out: Path) -> list[dict]:
    """Write ``results.json`` and ``table.md``; returns the entries."""
    entries = collect(out)
    write_json(out / RESULTS, dict(runs=entries))
    write_whole(out / 'table.md', table(group_runs(entries)) + '\n')
    return entries


def read_results(folders: Sequence[Path]) -> list[dict]:
    """Read the results of several ablations.

    Raises:
        UserError: If a folder has none.
    """
    entries = []
    for folder in folders:
        path = folder / RESULTS if folder.is_dir() else folder
        try:
            entries += json.loads(path.read_text('utf-8'))['runs']
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f'no results of an ablation in {path} ({error!r}); give the '
                '--out of tools/ablate.py'
            ) from None
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


def pool(entries: Sequence[dict], axis: str) -> list[dict]:
    """Join the runs that differ only in an axis, such as folds.

    Their clips count as one test list, also for their teachers. A setting
    and seed that lacks a value of the axis is left out.

    Args:
        entries: Of the results.
        axis: Name of the axis.

    Raises:
        UserError: If no run has the axis, or two runs differ in nothing
            else.
    """
    joined, rest = defaultdict(dict), []
    for entry in entries:
        if axis not in entry['labels']:
            rest.append(entry)
        elif entry['status'] == 'done':
            labels = {k: v for k, v in entry['labels'].items() if k != axis}
            name = setting_name(entry['config'], labels)
            parts = joined[name, entry['seed']]
            value = str(entry['labels'][axis])
            if value in parts:
                raise UserError(
                    f'--pool {axis}: two runs of {name}, seed '
                    f'{entry["seed"]}, have the value {value}; report the '
                    'folders, or what differs in their configs, apart'
                )
            parts[value] = entry
    if not joined:
        raise UserError(f'--pool {axis}: no finished run has this axis')
    wanted = {value for parts in joined.values() for value in parts}
    whole = {k: parts for k, parts in joined.items() if parts.keys() == wanted}
    rest = pool_teachers(rest, axis, whole.values())
    return rest + [
        pooled_entry(name, seed, axis, parts)
        for (name, seed), parts in whole.items()
    ]


def pool_teachers(
    entries: Sequence[dict], axis: str, students: Iterable[dict[str, dict]]
) -> list[dict]:
    """Join the tests of the teachers that students had, one per value.

    Args:
        entries: Those without the axis.
        axis: Name of the axis.
        students: Runs by value of the axis, for each setting and seed.
    """
    tests = {
        entry['folder']: entry
        for entry in entries
        if entry['kind'] == 'teacher' and entry['status'] == 'done'
    }
    joined = {}
    for parts in students:
        folders = {value: run.get('teacher') for value, run in parts.items()}
        used = tuple(folders[value] for value in sorted(folders))
        if len(set(used)) > 1 and tests.keys() >= set(used):
            name = tests[used[0]]['name']
            joined[used] = pooled_entry(
                name, None, axis, {v: tests[f] for v, f in folders.items()}
            )
            joined[used]['digest'] = '+'.join(tests[f]['digest'] for f in used)
    gone = {folder for used in joined for folder in used}
    kept = [e for e in entries if e.get('folder') not in gone]
    return kept + list(joined.values())


def pooled_entry(
    name: str, seed: int | None, axis: str, parts: dict[str, dict]
) -> dict:
    """One entry of the results for the clips of several."""
    parts = dict(sorted(parts.items()))
    entry = dict(next(iter(parts.values())))
    entry['labels'] = {k: v for k, v in entry['labels'].items() if k != axis}
    entry |= dict(name=name, seed=seed, digest='', pooled=parts)
    entry |= measure(scores_of(entry))
    shares = [part.get('agreement') for part in parts.values()]
    clips = [part['clips'] for part in parts.values()]
    entry['agreement'] = None
    if None not in shares:
        total = sum(s * n for s, n in zip(shares, clips, strict=True))
        entry['agreement'] = total / sum(clips)
    times = [part.get('minutes') for part in parts.values()]
    entry['minutes'] = None if None in times else sum(times)
    return entry


def table(groups: Sequence[Group]) -> str:
    """A Markdown table of the settings: mean ± spread over the seeds."""
    rows = [HEADER]
    for number, group in enumerate(groups, 1):
        parameters = group.mean('parameters')
        memory = group.mean('memory_mb')
        minutes = group.mean('minutes')
        rows.append(
            (
                str(number),
                group.name,
                str(len(group.runs)),
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
