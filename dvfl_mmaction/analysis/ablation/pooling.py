"""Pool the runs of an axis, such as folds: their clips as one test list."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from ...errors import UserError
from .plan import digest_of
from .scores import has_scores, measure, scores_of
from .settings import setting_name, value_text


def pool(
    entries: Sequence[dict], axis: str, report: Callable[[str], None] = print
) -> list[dict]:
    """Join the runs that differ only in an axis, such as folds.

    Their clips count as one test list, also for their teachers. A setting
    and seed that lacks a value of the axis is left out.

    Args:
        entries: Of the results.
        axis: Name of the axis.
        report: Called with a line per setting and seed that is left out or
            has no such axis.

    Raises:
        UserError: If no run has the axis, no setting has all its values, or
            two runs differ in nothing else that the results tell.
    """
    joined, rest = {}, []
    for entry in entries:
        if axis not in entry['labels']:
            rest.append(entry)
            continue
        parts = joined.setdefault(family(entry, axis), {})
        if entry['status'] == 'done':
            value = value_text(entry['labels'][axis])
            if value in parts:
                raise same_value(axis, value, entry, parts[value])
            parts[value] = entry
    if not any(joined.values()):
        done = [e for e in entries if e['status'] == 'done']
        known = sorted({name for e in done for name in e['labels']})
        raise UserError(
            f'--pool {axis}: no finished run has this axis; the axes are '
            f'{", ".join(known) or "none"}'
        )
    wanted, whole = wanted_values(entries, axis), {}
    for key, parts in joined.items():
        name, seed, source, _ = key
        missing = sorted(wanted[source] - parts.keys())
        if missing:
            report(
                f'--pool {axis} leaves out {name}, seed {seed}: no finished '
                f'run of {axis} {", ".join(missing)}'
            )
        else:
            whole[key] = parts
    apart = [e for e in rest if e['kind'] != 'teacher']
    for name in sorted({e['name'] for e in apart if e['status'] == 'done'}):
        report(f'--pool {axis}: {name} has no {axis}; its row is not pooled')
    if not whole:
        raise UserError(
            f'--pool {axis}: no setting has finished runs of all {axis}; '
            'train the missing ones, or leave out --pool'
        )
    rest = pool_teachers(rest, axis, whole.values())
    return rest + [
        pooled_entry(name, seed, axis, parts)
        for (name, seed, *_), parts in whole.items()
    ]


def wanted_values(entries: Sequence[dict], axis: str) -> dict[str, set]:
    """Values of an axis by source, also of runs that are not finished."""
    wanted = defaultdict(set)
    for entry in entries:
        if axis in entry['labels']:
            about = entry.get('axes', {}).get(axis, {})
            values = [entry['labels'][axis], *about.get('values', ())]
            wanted[about.get('source')] |= {value_text(v) for v in values}
    return wanted


def family(entry: dict, axis: str) -> tuple:
    """What the runs of one pool have in common.

    Returns:
        Their name without the axis, the seed, the files of the axis, and a
        hash of the rest of their configs; None for what the results of an
        older version do not tell.
    """
    labels = {k: v for k, v in entry['labels'].items() if k != axis}
    about = entry.get('axes', {}).get(axis, {})
    name = setting_name(entry['config'], labels)
    return name, entry['seed'], about.get('source'), about.get('rest')


def same_value(axis: str, value: str, first: dict, second: dict) -> UserError:
    """The error of two runs that would take one place in a pool."""
    options = [entry.get('options', {}) for entry in (first, second)]
    differing = [
        key
        for key in sorted(options[0].keys() | options[1].keys())
        if options[0].get(key) != options[1].get(key)
    ]
    name, seed, *_ = family(first, axis)
    return UserError(
        f'--pool {axis}: two runs of {name}, seed {seed}, have the value '
        f'{value}; they differ in '
        f'{", ".join(differing) or "their config files"}; report them '
        'in two commands, from an --out each'
    )


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
    gone = {folder for used in joined for folder in used}
    kept = [e for e in entries if e.get('folder') not in gone]
    return kept + list(joined.values())


def pooled_entry(
    name: str, seed: int | None, axis: str, parts: dict[str, dict]
) -> dict:
    """One entry of the results for the clips of several.

    Its digest is that of the digests of all parts: pools of equal names but
    other options, lists or configs stay apart.
    """
    parts = dict(sorted(parts.items()))
    entry = dict(next(iter(parts.values())))
    for key in ('right', 'test_list'):
        entry.pop(key, None)
    entry['labels'] = {k: v for k, v in entry['labels'].items() if k != axis}
    entry |= dict(name=name, seed=seed, pooled=parts)
    digests = {value: part['digest'] for value, part in parts.items()}
    entry['digest'] = digest_of(dict(pooled=digests))
    if has_scores(entry):
        entry |= measure(scores_of(entry))
    else:
        clips = sum(part['clips'] for part in parts.values())
        entry |= dict(clips=clips, ece=None)  # not the mean of theirs
        entry |= {k: mean_over_clips(parts, k) for k in ('top1', 'top5')}
    entry['agreement'] = mean_over_clips(parts, 'agreement')
    times = [part.get('minutes') for part in parts.values()]
    entry['minutes'] = None if None in times else sum(times)
    peaks = [part.get('memory_mb') for part in parts.values()]
    entry['memory_mb'] = None if None in peaks else max(peaks)
    return entry


def mean_over_clips(parts: dict[str, dict], key: str) -> float | None:
    """Mean of a share, weighted by the clips; None if a part lacks it."""
    shares = [part.get(key) for part in parts.values()]
    if None in shares:
        return None
    clips = [part['clips'] for part in parts.values()]
    total = sum(s * n for s, n in zip(shares, clips, strict=True))
    return total / sum(clips)
