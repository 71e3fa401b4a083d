"""Read the results of one or several ablations."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import UserError
from .results import OF_SETTING, RESULTS, located


def read_results(
    folders: Sequence[Path], report: Callable[[str], None] = print
) -> list[dict]:
    """Read the results of several ablations; each run occurs once.

    The paths of a run are those beside its ``results.json``, if it lies
    there; else they are as stored.

    Args:
        folders: Each an ``--out``, or its ``results.json``.
        report: Called with a line per run whose copies differ.

    Raises:
        UserError: If a folder has none.
    """
    entries = []
    for folder in folders:
        path = folder / RESULTS if folder.is_dir() else folder
        try:
            runs = json.loads(path.read_text('utf-8'))['runs']
            entries += [run | located(run, path.parent) for run in runs]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(
                f'no results of an ablation in {path} ({error!r}); give the '
                '--out of tools/ablate.py'
            ) from None
    return share_labels(drop_copies(entries, report))


def drop_copies(
    entries: Sequence[dict], report: Callable[[str], None] = print
) -> list[dict]:
    """Keep the first of the runs of one config and seed.

    A finished run is kept rather than one that failed. Students of a
    teacher's test that is dropped refer to the kept one.
    """
    kept, others = {}, []
    for entry in entries:
        if 'digest' not in entry:
            others.append(entry)
            continue
        first = kept.setdefault((entry['digest'], entry['seed']), entry)
        states = first['status'], entry['status']
        if states == ('failed', 'done'):
            kept[entry['digest'], entry['seed']] = entry
        elif states == ('done', 'done') and first['top1'] != entry['top1']:
            report(
                f'{entry["name"]}, seed {entry["seed"]}, is there twice, with '
                f'{100 * first["top1"]:.1f} and {100 * entry["top1"]:.1f} % '
                'top-1; the first one counts'
            )
    folders = {
        entry['folder']: kept[entry['digest'], entry['seed']]['folder']
        for entry in entries
        if 'digest' in entry
    }
    return others + [
        entry | dict(teacher=folders.get(entry['teacher'], entry['teacher']))
        if entry.get('teacher')
        else entry
        for entry in kept.values()
    ]


def share_labels(entries: Sequence[dict]) -> list[dict]:
    """Give the runs of one config the labels of the one that has the most.

    One ablation may have set what another left at its default.
    """
    fullest = {}
    for entry in entries:
        best = fullest.setdefault(entry.get('digest'), entry)
        if len(entry['labels']) > len(best['labels']):
            fullest[entry.get('digest')] = entry
    shared = []
    for entry in entries:
        best = fullest[entry['digest']] if 'digest' in entry else entry
        about = {key: best[key] for key in OF_SETTING if key in best}
        shared.append(entry | about)
    return shared
