"""Paired intervals against published and hand-worked values."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dvfl_mmaction.analysis.paired_comparison import (
    clustered_interval,
    compare_paired,
    score_interval,
    seed_and_clip_interval,
)
from dvfl_mmaction.errors import UserError


# Two examples of Fagerland, Lydersen and Laake, "Recommended tests and
# confidence intervals for paired binomial proportions", Statistics in
# Medicine 33 (2014); digits of the R package contingencytables.
@pytest.mark.parametrize(
    ('gained', 'lost', 'clips', 'ends'),
    [
        (1, 7, 21, (-0.5172, -0.0260)),
        (6, 16, 161, (-0.1240, -0.0054)),
    ],
)
def test_score_interval_gives_the_published_values(gained, lost, clips, ends):
    assert score_interval(gained, lost, clips) == pytest.approx(ends, abs=5e-5)


def test_score_interval_without_a_flip_is_z2_over_n_plus_z2():
    # With b = c = 0 and a difference D the constrained estimate of P(lost)
    # is 0 for D > 0, so (n D)^2 = z^2 n D (1 - D), D = z^2 / (n + z^2).
    z2 = stats.norm.ppf(0.975) ** 2
    low, high = score_interval(0, 0, 30)
    assert high == pytest.approx(z2 / (30 + z2))
    assert low == pytest.approx(-high)


def test_score_interval_mirrors_when_the_models_swap():
    low, high = score_interval(9, 4, 50)
    assert score_interval(4, 9, 50) == pytest.approx((-high, -low))


@pytest.mark.parametrize('confidence', [0.8, 0.95, 0.99])
def test_score_interval_excludes_zero_exactly_where_mcnemar_rejects(
    confidence,
):
    limit = stats.norm.ppf((1 + confidence) / 2)
    for gained in range(12):
        for lost in range(12):
            low, high = score_interval(gained, lost, 40, confidence)
            statistic = abs(gained - lost) / math.sqrt(gained + lost or 1)
            assert (low > 0 or high < 0) == (statistic > limit)


def test_score_interval_stays_within_one():
    assert score_interval(5, 0, 5)[1] == 1
    assert score_interval(0, 5, 5)[0] == -1


@pytest.mark.parametrize('clips', [21, 41, 83])
def test_score_interval_takes_means_that_are_not_exact(clips):
    lost = clips * (1 - 2**-53)
    ends = score_interval(0, lost, clips)
    assert ends == pytest.approx(score_interval(0, clips, clips))


def test_score_interval_covers_a_small_sample():
    """Exact coverage over all tables of 20 clips, P(gained), P(lost) given."""
    for gain, loss in ((0.1, 0.1), (0.3, 0.05), (0.02, 0.02)):
        covered = 0.0
        for gained in range(21):
            for lost in range(21 - gained):
                low, high = score_interval(gained, lost, 20)
                if low <= gain - loss <= high:
                    covered += stats.multinomial.pmf(
                        [gained, lost, 20 - gained - lost],
                        20,
                        [gain, loss, 1 - gain - loss],
                    )
        assert covered > 0.93


def test_seed_and_clip_interval_gives_hand_worked_values():
    # Mean 1/4; means of the seeds 1/2, 0; of the clips 1, 0, 0, 0.
    # MS_seed = 4 * 2 * (1/4)^2 / 1 = 1/2
    # MS_clip = 2 * ((3/4)^2 + 3 * (1/4)^2) / 3 = 1/2
    # Residuals of seed 1: -1/4, 3/4, -1/4, -1/4; of seed 2 the negatives:
    # MS_residual = 2 * 12/16 / (1 * 3) = 1/2, so the clips add nothing.
    # Half width t * sqrt(1/2 / 8) with one degree of freedom; at 50 %
    # confidence t = 1.
    differences = [[1, 1, 0, 0], [1, -1, 0, 0]]
    assert seed_and_clip_interval(differences, 0.5) == pytest.approx((0, 0.5))
    assert seed_and_clip_interval(differences) == (-1, 1)  # 0.25 +- 3.18


def test_seeds_that_agree_leave_the_interval_of_the_clips():
    one = np.array([1, 1, 1, 0, 0, 0, 0, -1])
    low, high = seed_and_clip_interval(np.stack([one, one, one]))
    # MS_seed = MS_residual = 0, so the variance is that of the clip means.
    half = stats.norm.ppf(0.975) * math.sqrt(one.var(ddof=1) / 8)
    assert (low, high) == pytest.approx((0.25 - half, 0.25 + half))


def test_seeds_that_agree_by_chance_do_not_hide_the_clips():
    # Both seeds gain one clip of four, but not the same: MS_seed = 0.
    # MS_clip = 2 * 4 * (1/4)^2 / 3 = 1/6; residuals of 1/2 in two clips:
    # MS_residual = 2 * 2 * 1/4 / (1 * 3) = 1/3, with 3 degrees of freedom.
    differences = [[1, 0, 0, 0], [0, 0, 0, 1]]
    half = stats.t.ppf(0.975, 3) * math.sqrt(1 / 3 / 8)
    ends = seed_and_clip_interval(differences)
    assert ends == pytest.approx((0.25 - half, 0.25 + half))


def test_interval_over_two_seeds_covers_what_only_clips_vary():
    generator = np.random.default_rng(0)
    widths, covered = [], 0
    for _ in range(400):
        low, high = seed_and_clip_interval(
            0.1 + generator.normal(0, 0.4, (2, 200))
        )
        widths.append(high - low)
        covered += low <= 0.1 <= high
    assert covered / 400 >= 0.93
    # The standard error is 0.4 / sqrt(400) = 0.02.
    assert min(widths) > 2 * 1.9 * 0.02 * 0.9


def test_interval_over_seeds_covers_seeds_and_clips():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        seed_effect = generator.normal(0, 0.05, (4, 1))
        clip_effect = generator.normal(0, 0.2, (1, 60))
        noise = generator.normal(0, 0.3, (4, 60))
        differences = 0.1 + seed_effect + clip_effect + noise
        low, high = seed_and_clip_interval(differences)
        covered += low <= 0.1 <= high
    assert 0.93 <= covered / 400 <= 0.985  # standard error 0.011


def test_comparison_counts_flips_in_points():
    candidate = [1, 1, 1, 0, 0, 1, 0, 1, 1, 1]
    baseline = [1, 0, 0, 1, 0, 1, 0, 1, 0, 1]
    result = compare_paired(candidate, baseline)
    assert (result.gained, result.lost, result.clips) == (3, 1, 10)
    assert result.difference == pytest.approx(20)
    ends = score_interval(3, 1, 10)
    assert (result.low, result.high) == pytest.approx(
        (100 * ends[0], 100 * ends[1])
    )
    assert not result.excludes_zero


def test_comparison_over_seeds_averages_flips():
    candidate = [[1, 1, 1, 1], [1, 1, 0, 1]]
    baseline = [[1, 0, 0, 1], [1, 0, 1, 1]]
    result = compare_paired(candidate, baseline)
    assert (result.seeds, result.gained, result.lost) == (2, 1.5, 0.5)
    assert result.difference == pytest.approx(25)


@pytest.mark.parametrize('confidence', [0.5, 0.95])
def test_the_interval_over_seeds_is_that_of_seeds_and_clips(confidence):
    candidate = [[1, 1, 1, 1, 0, 1], [1, 1, 0, 1, 0, 1]]
    baseline = [[1, 0, 0, 1, 1, 0], [1, 0, 1, 1, 0, 0]]
    for seeds in ((0, 1), (0, 0)):  # also of seeds that agree
        first, second = (
            np.array([rows[seed] for seed in seeds])
            for rows in (candidate, baseline)
        )
        result = compare_paired(first, second, confidence)
        ends = seed_and_clip_interval(first - second, confidence)
        assert (result.low, result.high) == pytest.approx(
            (100 * ends[0], 100 * ends[1])
        )
    result = compare_paired(candidate[0], baseline[0], confidence)
    ends = score_interval(3, 1, 6, confidence)
    assert (result.low, result.high) == pytest.approx(
        (100 * ends[0], 100 * ends[1])
    )


def test_an_interval_excludes_zero_on_either_side_but_not_at_an_end():
    right, wrong = np.ones(20, bool), np.zeros(20, bool)
    assert compare_paired(right, wrong).excludes_zero
    assert compare_paired(wrong, right).excludes_zero
    assert not compare_paired(right, right).excludes_zero
    result = compare_paired(right, wrong)
    assert not replace(result, low=0.0).excludes_zero
    assert not replace(result, low=-9.0, high=0.0).excludes_zero


def test_equal_models_keep_an_interval_over_seeds():
    same = np.ones((3, 30), dtype=bool)
    result = compare_paired(same, same)
    assert result.high == pytest.approx(100 * score_interval(0, 0, 30)[1])


def test_one_clip_of_several_seeds_is_refused():
    with pytest.raises(UserError, match='2 seeds on 1 clip have no interval'):
        compare_paired([[1], [0]], [[0], [0]])
    with pytest.raises(UserError, match='2 seeds on 1 clip have no interval'):
        seed_and_clip_interval([[1], [0]])
    assert compare_paired([1], [0]).low < compare_paired([1], [0]).high == 100


def test_clips_or_seeds_that_differ_are_refused():
    with pytest.raises(UserError, match=r'\(1, 3\) and \(1, 2\)'):
        compare_paired([1, 0, 1], [1, 0])
    with pytest.raises(UserError, match='at least one clip'):
        compare_paired([], [])


def test_groups_of_one_clip_give_the_t_interval():
    values = np.array([1, 0, 0, -1, 1, 1, 0, 0, 1, 0.5])
    wanted = stats.t.interval(
        0.9, len(values) - 1, values.mean(), stats.sem(values)
    )
    found = clustered_interval(values, range(len(values)), 0.9)
    assert found == pytest.approx(wanted)


def test_copies_of_a_clip_in_its_group_tell_nothing_new():
    values = np.array([1, 0, 0, -1, 1, 1, 0, 0])
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    once = clustered_interval(values, groups)
    assert once != pytest.approx(clustered_interval(values, range(8)))
    found = clustered_interval(np.repeat(values, 5), np.repeat(groups, 5))
    assert found == pytest.approx(once)


def test_the_interval_of_groups_by_hand():
    # Mean 1/4; sums 3/2, -1/2, -1/2, -1/2; variance 4/3 * 3 / 64 = 1/16.
    values, groups = [1, 1, 0, 0, 0, 0, 0, 0], list('aabbccdd')
    half = stats.t.ppf(0.975, 3) / 4
    found = clustered_interval(values, groups)
    assert found == pytest.approx((0.25 - half, min(0.25 + half, 1)))
    # Seeds are averaged, and the ends are cut on both sides.
    seeds = [[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, -1, -1, 0, 0, 0, 0]]
    found = clustered_interval(seeds, groups)
    assert found == pytest.approx((0.25 - half, min(0.25 + half, 1)))
    low, high = clustered_interval(np.negative(values), groups)
    assert (low, high) == pytest.approx((-1, half - 0.25))


def test_groups_of_one_mean_keep_an_interval():
    """As where a clip is gained and one lost in the same group."""
    for values in ([1, -1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 1, 0, 1]):
        mean = np.mean(values)
        found = clustered_interval(values, list('aabbccdd'))
        assert found == score_interval(4 * mean, 0, 4)
        assert found[0] < mean < found[1]
    # Of other sizes, and means that are not exact.
    values = np.array([1, 0, 0] * 4 + [1, 0, 0])
    groups = [0] * 6 + [1] * 3 + [2] * 6
    found = clustered_interval(values, groups)
    assert found == pytest.approx(score_interval(1, 0, 3))


@pytest.mark.parametrize('difference', [-1, 0, 1])
def test_equal_clips_keep_an_interval_over_groups(difference):
    values, groups = np.full(12, difference), list('abcdef') * 2
    found = clustered_interval(values, groups)
    counts = 6 * max(difference, 0), 6 * max(-difference, 0)
    assert found == score_interval(*counts, 6)
    assert found[0] < found[1] and found[0] <= difference <= found[1]
    wide = clustered_interval(values, groups, 0.99)
    assert wide == score_interval(*counts, 6, 0.99)
    # One of two seeds gains every clip.
    low, high = clustered_interval([values * 0, values], groups)
    assert low < difference / 2 < high


def test_one_group_has_no_interval():
    with pytest.raises(UserError, match='8 clips are in 1 group'):
        clustered_interval(np.ones(8), ['a'] * 8)
