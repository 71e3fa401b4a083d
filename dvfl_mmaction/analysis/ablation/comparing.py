"""Compare two settings of an ablation on the clips that both tested."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UserError, suggestion
from ..paired_comparison import (
    PairedComparison,
    clustered_interval,
    compare_paired,
)
from .results import Group
from .scores import cached_scores, has_scores, outcomes


def find_group(groups: Sequence[Group], name: str) -> Group:
    """A setting by its number in the table, its name, or a part of it.

    Raises:
        UserError: If none or several match.
    """
    if name.isdecimal() and 1 <= int(name) <= len(groups):
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
    """Compare two settings; errors as :func:`pair`."""
    pairs = pair(candidate, baseline)
    return compare_paired(pairs.first, pairs.second)


@dataclass(frozen=True)
class Pairs:
    """Outcomes of two settings on the same clips, with the same seeds.

    Attributes:
        clips: (N,) names, with the value of a pooled axis before each; or
            lists and places in them.
        first: (S, N) of bool.
        second: (S, N) of bool.
        names: (N,) names alone; None if they are not known.
    """

    clips: np.ndarray
    first: np.ndarray
    second: np.ndarray
    names: np.ndarray | None

    @property
    def differences(self) -> np.ndarray:
        """First minus second, (S, N)."""
        return self.first.astype(float) - self.second


def pair(candidate: Group, baseline: Group) -> Pairs:
    """The outcomes of two settings for the seeds that both have.

    A teacher, which has no seed, is compared with each seed of the other.
    Clips are paired by name, or by their place in the test list if a file of
    scores is missing.

    Raises:
        UserError: If they share no seed, or tested other clips.
    """
    runs = [*candidate.runs, *baseline.runs]
    are_named = all(has_scores(run) for run in runs)
    if are_named:
        first, second = candidate.scores, baseline.scores
    else:
        hashed = all('test_list' in p for run in runs for p in parts_of(run))
        first, second = (
            {run['seed']: listed_outcomes(run, hashed) for run in group.runs}
            for group in (candidate, baseline)
        )
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
    clips = first[seeds[0]].clips
    for seed in seeds:
        if not (
            np.array_equal(first[seed].clips, clips)
            and np.array_equal(second[seed].clips, clips)
        ):
            raise UserError(
                f'{candidate.name} and {baseline.name} were tested on '
                'different clips; give settings with one test list, or '
                '--pool the axis of the folds'
            )
    return Pairs(
        clips,
        np.stack([first[seed].correct for seed in seeds]),
        np.stack([second[seed].correct for seed in seeds]),
        names_of(candidate, seeds[0]) if are_named else None,
    )


def names_of(group: Group, seed: int | None) -> np.ndarray:
    """Names of the clips of a seed, or of a teacher, in their order."""
    run = next(run for run in group.runs if run['seed'] in (seed, None))
    parts = [cached_scores(part['scores']) for part in parts_of(run)]
    return np.concatenate([part.clips for part in parts])


def groups_of(pairs: Pairs, pattern: str) -> list[str]:
    """Group of each clip: what a regular expression finds in its name.

    Args:
        pairs: The clips.
        pattern: If it has groups in parentheses, the first one that matches.

    Raises:
        UserError: If it is no regular expression or does not match a clip,
            or the names are not known.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f'--clip-groups {pattern!r} is no regular expression: {error}; '
            "give, for example, '_g[0-9]+' for the groups of UCF101"
        ) from None
    if pairs.names is None:
        raise UserError(
            '--clip-groups needs the names of the clips, which the files of '
            'scores have; give --report the folder that holds the runs'
        )
    groups = []
    for clip in pairs.names:
        found = expression.search(clip)
        parts = [part for part in found.groups() if part] if found else []
        if not found or (expression.groups and not parts):
            raise UserError(
                f'--clip-groups {pattern!r} matches nothing in {clip}; give '
                'an expression that every name matches'
            )
        groups.append(parts[0] if parts else found[0])
    return groups


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of a test without its scores.

    Attributes:
        clips: (N,) test list and place in it of each clip.
        correct: (N,) of bool.
    """

    clips: np.ndarray
    correct: np.ndarray


def parts_of(run: dict) -> list[dict]:
    """The run, or those that were pooled, by value of the axis."""
    return list(run.get('pooled', {'': run}).values())


def listed_outcomes(run: dict, hashed: bool) -> Outcomes:
    """Read the outcomes of a run from the results themselves.

    Args:
        run: Entry of the results, or a pooled one.
        hashed: Whether the list is told by its hash; else by the options
            that set it.

    Raises:
        UserError: If neither the results nor scores have them.
    """
    clips, right = [], ''
    for part in parts_of(run):
        if 'right' not in part:
            part = part | outcomes(cached_scores(part['scores']))
        if len(part['right']) != part['clips']:
            raise UserError(
                f'the results of {part["name"]} have {len(part["right"])} '
                f'outcomes (right) of {part["clips"]} clips; give the file '
                'that tools/ablate.py wrote'
            )
        name = part['test_list'] if hashed else test_options(part)
        clips += [f'{name} {place}' for place in range(part['clips'])]
        right += part['right']
    return Outcomes(np.array(clips), np.array(list(right)) == '1')


def test_options(run: dict) -> str:
    """What the options of a run tell about its test list."""
    prefix = 'test_dataloader.dataset'
    options = {k: v for k, v in run['options'].items() if k.startswith(prefix)}
    # Without a list of its own it has that of its config.
    config = None if f'{prefix}.ann_file' in options else run['config']
    return json.dumps([config, options], sort_keys=True)


def describe(
    candidate: Group, baseline: Group, clip_groups: str | None = None
) -> str:
    """Report a comparison in some lines.

    Args:
        candidate: A setting.
        baseline: Another one.
        clip_groups: Expression of :func:`groups_of`, for a second interval.
    """
    pairs = pair(candidate, baseline)
    result = compare_paired(pairs.first, pairs.second)
    verdict = verdict_of(result.low, result.high)
    over = 'clips and seeds' if result.seeds > 1 else 'clips'
    return (
        f'{candidate.name}\n  minus {baseline.name}:\n'
        f'  {result.difference:+.1f} points of top-1, 95 % interval '
        f'[{result.low:+.1f}, {result.high:+.1f}] over {over}, which '
        f'{verdict}\n'
        f'  {result.clips} clips, {result.seeds} '
        f'seed{"s" if result.seeds > 1 else ""}; per seed '
        f'{result.gained:.1f} clips right only in the first, '
        f'{result.lost:.1f} only in the second'
        + limits_of_few(result.seeds)
        + by_group(pairs, clip_groups)
    )


def verdict_of(low: float, high: float) -> str:
    """Whether an interval shows a difference, in words."""
    return 'excludes 0' if low > 0 or high < 0 else 'contains 0'


def by_group(pairs: Pairs, pattern: str | None) -> str:
    """A line with the interval over groups of clips; none without them."""
    if pattern is None:
        return ''
    groups = groups_of(pairs, pattern)
    low, high = (
        100 * end for end in clustered_interval(pairs.differences, groups)
    )
    return (
        f'\n  clips in {len(set(groups))} groups that are right or wrong '
        f'together: [{low:+.1f}, {high:+.1f}], which {verdict_of(low, high)}'
    )


def limits_of_few(seeds: int) -> str:
    """A line on what the interval of few seeds leaves out; or none."""
    if seeds == 1:
        return (
            '\n  one seed: the interval is over the clips only, not over '
            'other trainings'
        )
    if seeds == 2:
        return (
            '\n  2 seeds measure the spread between trainings badly: the '
            'interval may be too narrow'
        )
    return ''
