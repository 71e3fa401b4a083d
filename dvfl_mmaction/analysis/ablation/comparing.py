"""Compare two settings of an ablation on the clips that both tested."""

from collections.abc import Sequence

import numpy as np

from ...errors import UserError, suggestion
from ..paired_comparison import PairedComparison, compare_paired
from .results import Group


def find_group(groups: Sequence[Group], name: str) -> Group:
    """A setting by its number in the table, its name, or a part of it.

    Raises:
        UserError: If none or several match.
    """
    if name.isdigit() and 1 <= int(name) <= len(groups):
        return groups[int(name) - 1]
    exact = [group for group in groups if group.name == name]
    found = exact or [group for group in groups if name in group.name]
    if len(found) == 1:
        return found[0]
    names = [group.name for group in groups]
    listed = '; '.join(g.name for g in found)
    raise UserError(
        f'{name!r} is no setting with a finished run'
        + suggestion(name, names, '; the table lists them')
        if not found
        else f'{name!r} is one of several settings; give one: {listed}'
    )


def compare(candidate: Group, baseline: Group) -> PairedComparison:
    """Compare two settings over the seeds that both have.

    A teacher, which has no seed, is compared with each seed of the other.

    Raises:
        UserError: If they share no seed, or tested other clips.
    """
    first, second = candidate.scores, baseline.scores
    if None in first:
        first = dict.fromkeys(second, first[None])
    if None in second:
        second = dict.fromkeys(first, second[None])
    seeds = sorted(first.keys() & second.keys(), key=str)
    if not seeds:
        raise UserError(
            f'{candidate.name} and {baseline.name} have no seed in common; '
            'train both with the same --seeds'
        )
    for seed in seeds:
        if not np.array_equal(first[seed].clips, second[seed].clips):
            raise UserError(
                f'{candidate.name} and {baseline.name} were tested on '
                'different clips; give settings with one test list, or '
                '--pool the axis of the folds'
            )
    return compare_paired(
        np.stack([first[seed].correct for seed in seeds]),
        np.stack([second[seed].correct for seed in seeds]),
    )


def describe(candidate: Group, baseline: Group) -> str:
    """Report a comparison in some lines."""
    result = compare(candidate, baseline)
    verdict = 'excludes 0' if result.excludes_zero else 'contains 0'
    over = 'clips and seeds' if result.seeds > 1 else 'clips'
    return (
        f'{candidate.name}\n  minus {baseline.name}:\n'
        f'  {result.difference:+.1f} points of top-1, 95 % interval '
        f'[{result.low:+.1f}, {result.high:+.1f}] over {over}, which '
        f'{verdict}\n'
        f'  {result.clips} clips, {result.seeds} seeds; per seed '
        f'{result.gained:.1f} clips right only in the first, '
        f'{result.lost:.1f} only in the second'
    )
