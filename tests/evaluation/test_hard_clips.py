"""The clips of highest loss."""

import numpy as np
import pytest

from dvfl_mmaction.evaluation.hard_clips import (
    hardest,
    judge,
    to_probabilities,
)

FRAME = np.zeros((2, 2, 3), np.uint8)


def judged(scores, label, name='clip'):
    return judge(np.array(scores, np.float32), label, name, FRAME)


def test_the_loss_is_the_cross_entropy_with_the_label():
    clip = judged([0.2, 0.5, 0.3], 0)
    assert clip.loss == pytest.approx(-np.log(0.2))
    assert (clip.label, clip.predicted) == (0, 1)
    assert clip.share == pytest.approx(0.5)
    assert judged([0.0, 1.0], 0).loss == pytest.approx(103.6, abs=0.1)


def test_logits_become_probabilities():
    logits = np.array([1.0, 3.0, -2.0])
    wanted = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(to_probabilities(logits), wanted)
    assert judged(logits, 0).loss == pytest.approx(-np.log(wanted[0]))
    shares = np.array([0.25, 0.75])
    np.testing.assert_array_equal(to_probabilities(shares), shares)


def test_the_worst_clips_come_first_and_once():
    clips = [
        judged([0.9, 0.1], 0, 'right'),
        judged([0.1, 0.9], 0, 'confident'),
        judged([0.4, 0.6], 0, 'unsure'),
        judged([0.1, 0.9], 0, 'confident'),  # of another process
    ]
    names = [clip.name for clip in hardest(clips, 2)]
    assert names == ['confident', 'unsure']
    assert len(hardest(clips, 9)) == 3


def test_clips_with_nan_scores_are_the_hardest_and_wrong():
    """Also those of class 0, which NaN would predict."""
    clips = [
        judged([0.9, 0.1], 0, 'right'),
        judged([np.nan, np.nan], 0, 'lost'),
        judged([0.1, 0.9], 0, 'wrong'),
        judged([np.nan, 0.5], 1, 'partly'),
    ]
    found = hardest(clips, 4)
    assert [clip.name for clip in found] == [
        *('partly', 'lost', 'wrong', 'right')
    ]
    assert [clip.is_right for clip in found] == [False] * 3 + [True]
