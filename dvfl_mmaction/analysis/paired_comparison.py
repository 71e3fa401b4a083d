"""Paired comparison of two models on the same clips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..errors import UserError

BISECTIONS = 60  # halve an interval of width 2 to below 1e-17


@dataclass(frozen=True)
class PairedComparison:
    """The accuracy of a candidate minus that of a baseline.

    Attributes:
        clips: Clips that both models classified.
        seeds: Trained models of each setting.
        gained: Clips that only the candidate classifies correctly, mean
            over the seeds.
        lost: Clips that only the baseline classifies correctly, mean over
            the seeds.
        difference: Candidate minus baseline, in percentage points.
        low: Lower end of the confidence interval, in percentage points.
        high: Upper end of the confidence interval, in percentage points.
    """

    clips: int
    seeds: int
    gained: float
    lost: float
    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval shows a difference."""
        return self.low > 0 or self.high < 0


def compare_paired(
    candidate: ArrayLike, baseline: ArrayLike, confidence: float = 0.95
) -> PairedComparison:
    """Compare two settings on the same clips and the same seeds.

    With one seed the interval is :func:`score_interval`. It covers the
    choice of the clips, not of the seed. With more seeds it is
    :func:`seed_and_clip_interval`, which covers both. Where no clip and no
    seed differs from another (all differences are equal), it is the
    interval of one seed.

    Args:
        candidate: Whether each clip is classified correctly, (N,) booleans
            for one seed or (S, N) for S seeds.
        baseline: The same clips and seeds in the same order.
        confidence: Coverage of the interval, in (0, 1).

    Raises:
        UserError: If the shapes differ or hold no clip, or one clip and
            several seeds.
    """
    first, second = (
        np.atleast_2d(np.asarray(correct, dtype=bool))
        for correct in (candidate, baseline)
    )
    if first.shape != second.shape or not first.size:
        raise UserError(
            'a paired comparison needs the same seeds and clips of both, at '
            f'least one clip; got {first.shape} and {second.shape} (seeds, '
            'clips)'
        )
    seeds, clips = first.shape
    check_clips(seeds, clips)
    gained = (first & ~second).sum(1)
    lost = (second & ~first).sum(1)
    differences = first.astype(float) - second
    if seeds == 1 or np.ptp(differences) == 0:
        ends = score_interval(
            int(gained[0]), int(lost[0]), clips, confidence=confidence
        )
    else:
        ends = seed_and_clip_interval(differences, confidence)
    return PairedComparison(
        clips=clips,
        seeds=seeds,
        gained=float(gained.mean()),
        lost=float(lost.mean()),
        difference=100 * float(differences.mean()),
        low=100 * ends[0],
        high=100 * ends[1],
    )


def clustered_interval(
    differences: ArrayLike, groups: Sequence, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a mean over clips that resemble each other within groups.

    Such as those cut from one recording: they are right or wrong together,
    so they tell less than as many independent ones. The interval is a t
    interval with the cluster-robust variance of the mean,

        variance = G / (G - 1) sum_g (sum_(n in g) (d_n - mean))^2 / N^2

    and G - 1 degrees of freedom (Liang and Zeger, Biometrika 73, 1986, with
    the usual correction for G groups). Where all groups have one mean, which
    tells no variance, it is :func:`score_interval` of a clip per group. It is
    for other groups, not for other seeds.

    Args:
        differences: Candidate minus baseline per seed and clip, (S, N) or
            (N,); the seeds are averaged.
        groups: Group of each clip, N values.
        confidence: Coverage, in (0, 1).

    Returns:
        The ends, as fractions of 1, cut to [-1, 1].

    Raises:
        UserError: If there are fewer than 2 groups.
    """
    values = np.atleast_2d(np.asarray(differences, dtype=float)).mean(0)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UserError(
            f'{len(values)} clips are in {len(names)} group; an interval '
            'needs 2 groups or more'
        )
    mean, count = float(values.mean()), len(names)
    sums = np.bincount(index, values - mean)
    if np.allclose(sums, 0, atol=1e-9):
        gained, lost = (max(d, 0.0) * count for d in (mean, -mean))
        return score_interval(gained, lost, count, confidence)
    error = math.sqrt(count / (count - 1) * (sums**2).sum()) / len(values)
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return max(mean - half, -1.0), min(mean + half, 1.0)


def check_clips(seeds: int, clips: int):
    """Reject one clip of several seeds, whose spread it cannot measure.

    Raises:
        UserError: If so.
    """
    if seeds > 1 and clips < 2:
        raise UserError(
            f'{seeds} seeds on {clips} clip have no interval; give a test '
            'list of 2 clips or more, or one seed'
        )


def score_interval(
    gained: float, lost: float, clips: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Tango's score interval for a difference of paired proportions.

    The interval holds every difference that the score test does not reject.
    It excludes 0 exactly if McNemar's test (without continuity correction)
    rejects equality. Its width stays above 0 where no clip differs, and it
    stays in [-1, 1].

    Source: T. Tango, "Equivalence test and confidence interval for the
    difference in proportions for the paired-sample design", Statistics in
    Medicine 17 (1998), 891-908.

    Args:
        gained: Clips that only the candidate classifies correctly, or their
            mean over the seeds.
        lost: Clips that only the baseline classifies correctly, likewise.
        clips: All clips.
        confidence: Coverage, in (0, 1).

    Returns:
        The ends, as fractions of 1.
    """
    limit = float(stats.norm.ppf((1 + confidence) / 2))

    def rejected(difference: float) -> bool:
        # Maximum likelihood estimate of P(lost) given the difference.
        linear = (2 * clips - gained + lost) * difference - gained - lost
        spread = difference * (1 - difference)
        # Never negative but for rounding, where all clips are lost.
        square = linear**2 + 8 * clips * lost * spread
        root = math.sqrt(max(square, 0))
        probability = (root - linear) / (4 * clips)
        variance = clips * max(2 * probability + spread, 0)
        distance = abs(gained - lost - clips * difference)
        return distance > limit * math.sqrt(variance)

    ends = []
    for outer in (-1.0, 1.0):
        inner = (gained - lost) / clips
        for _ in range(BISECTIONS):
            middle = (outer + inner) / 2
            if rejected(middle):
                outer = middle
            else:
                inner = middle
        ends.append(inner)
    return ends[0], ends[1]


def seed_and_clip_interval(
    differences: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a mean over random seeds crossed with random clips.

    Every model of every seed classifies the same clips, as every reader
    reads the same cases in a multi-reader multi-case study. The analysis is
    the one of that field: with mean squares MS of a two-way analysis of
    variance of the differences,

        variance = (MS_seed + max(MS_clip - MS_residual, 0)) / (S N)
        degrees of freedom = (variance S N)^2 / (MS_seed^2 / (S - 1))

    and a t interval. Where MS_seed is below MS_residual, which it exceeds in
    expectation, the seeds have no variance of their own: MS_residual takes
    its place, with (S - 1)(N - 1) for S - 1. Few seeds that agree by chance
    would else hide that the clips differ. The interval widens where seeds
    disagree: by the t quantile of S - 1 degrees of freedom where the seeds
    dominate, by the normal one where the clips dominate.

    Sources: D. D. Dorfman, K. S. Berbaum, C. E. Metz, "Receiver operating
    characteristic rating analysis", Investigative Radiology 27 (1992),
    723-731; degrees of freedom of S. L. Hillis, "A comparison of denominator
    degrees of freedom methods for multiple observer ROC analysis",
    Statistics in Medicine 26 (2007), 596-619.

    Args:
        differences: Candidate minus baseline per seed and clip, (S, N), S
            and N of at least 2, not all equal.
        confidence: Coverage, in (0, 1).

    Returns:
        The ends, as fractions of 1, cut to [-1, 1].

    Raises:
        UserError: If there is one clip.
    """
    values = np.asarray(differences, dtype=float)
    seeds, clips = values.shape
    check_clips(seeds, clips)
    mean = values.mean()
    by_seed = values.mean(1, keepdims=True) - mean
    by_clip = values.mean(0, keepdims=True) - mean
    residual = values - mean - by_seed - by_clip
    seed_square = clips * (by_seed**2).sum() / (seeds - 1)
    clip_square = seeds * (by_clip**2).sum() / (clips - 1)
    residual_square = (residual**2).sum() / ((seeds - 1) * (clips - 1))
    freedom = seeds - 1
    if seed_square < residual_square:
        seed_square, freedom = residual_square, freedom * (clips - 1)
    error = seed_square + max(clip_square - residual_square, 0)
    if seed_square == 0:  # infinite degrees of freedom
        quantile = stats.norm.ppf((1 + confidence) / 2)
    else:
        freedom = error**2 / (seed_square**2 / freedom)
        quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    half = float(quantile) * math.sqrt(error / (seeds * clips))
    return max(float(mean) - half, -1.0), min(float(mean) + half, 1.0)
