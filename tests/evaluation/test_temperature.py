"""The temperature of a classifier, against values worked out by hand."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from dvfl_mmaction.errors import UserError
from dvfl_mmaction.evaluation.temperature import (
    cross_fitted,
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
)


def two_classes(gap: float, right: int, clips: int):
    """Logits (N, 1, 2) that always prefer class 0, and labels."""
    logits = np.tile([[[gap, 0.0]]], (clips, 1, 1)).astype(np.float32)
    labels = np.zeros(clips, int)
    labels[right:] = 1
    return logits, labels


@pytest.mark.parametrize(('gap', 'right'), [(4.0, 9), (0.5, 9), (3.0, 6)])
def test_the_confidence_becomes_the_accuracy(gap, right):
    # sigmoid(gap / T) is the share of right answers.
    logits, labels = two_classes(gap, right, 10)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(
        gap / math.log(right / (10 - right)), rel=1e-4
    )
    share = np.exp(log_probabilities(logits, found))[0, 0]
    assert share == pytest.approx(right / 10, abs=1e-4)


def random_clips(seed=0, clips=200, views=1, classes=5):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(clips, views, classes)).astype(np.float32)
    chances = softmax(2.0 * logits.mean(1), axis=1)
    labels = [rng.choice(classes, p=row) for row in chances]
    return logits, np.array(labels)


@pytest.mark.parametrize('views', [1, 3])
def test_larger_logits_have_a_larger_temperature(views):
    logits, labels = random_clips(views=views)
    one = fit_temperature(logits, labels)
    assert fit_temperature(4 * logits, labels) == pytest.approx(4 * one, 1e-3)
    best = negative_log_likelihood(logits, labels, one)
    for factor in (0.9, 1.1):
        other = negative_log_likelihood(logits, labels, factor * one)
        assert other > best


def test_the_probabilities_are_averaged_over_the_views():
    logits, labels = random_clips(views=3)
    wanted = softmax(logits / 0.7, axis=2).mean(1)
    np.testing.assert_allclose(
        log_probabilities(logits, 0.7), np.log(wanted), atol=1e-5
    )
    own = wanted[np.arange(len(labels)), labels]
    assert negative_log_likelihood(logits, labels, 0.7) == pytest.approx(
        -np.log(own).mean(), abs=1e-6
    )


def test_each_half_has_the_temperature_of_the_other():
    first, labels_a = random_clips(0)
    second, labels_b = random_clips(1)
    second *= 5
    logits = np.stack([first, second], 1).reshape(400, 1, 5)
    labels = np.stack([labels_a, labels_b], 1).reshape(400)
    found = cross_fitted(logits, labels)
    of_first = fit_temperature(first, labels_a)
    of_second = fit_temperature(second, labels_b)
    np.testing.assert_array_equal(
        found[0::2], log_probabilities(first, of_second)
    )
    np.testing.assert_array_equal(
        found[1::2], log_probabilities(second, of_first)
    )


def test_extreme_logits_have_finite_probabilities():
    logits = np.array([[[1e4, -1e4, 0.0]]], np.float32)
    found = log_probabilities(logits, 1.0)
    np.testing.assert_array_equal(found, [[0.0, -2e4, -1e4]])


def test_what_determines_no_temperature_is_refused():
    with pytest.raises(UserError, match='all are classified correctly'):
        fit_temperature(*two_classes(2.0, 10, 10))
    with pytest.raises(UserError, match='no better than chance'):
        fit_temperature(*two_classes(2.0, 3, 10))
    logits, labels = two_classes(2.0, 8, 10)
    logits[3:5, 0, 0] = np.nan
    with pytest.raises(UserError, match='2 of 10 clips have logits that are'):
        fit_temperature(logits, labels)


def test_a_half_without_a_wrong_clip_is_reported_as_such():
    logits, labels = two_classes(gap=3, right=39, clips=40)
    assert fit_temperature(logits, labels) > 0
    with pytest.raises(UserError, match='each half of 40 clips .* but 20 cli'):
        cross_fitted(logits, labels)
