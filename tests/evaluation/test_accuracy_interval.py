"""Wilson's interval against published and limiting values."""

import pytest

from dvfl_mmaction.evaluation.accuracy_interval import wilson_interval


def test_the_interval_is_wilsons():
    # Newcombe (1998), Table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for correct, clips, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson_interval(correct, clips)
        assert found == pytest.approx((low, high), abs=5e-5)


def test_the_interval_is_symmetric_and_within_0_and_1():
    low, high = wilson_interval(3, 10)
    assert wilson_interval(7, 10) == pytest.approx((1 - high, 1 - low))
    assert wilson_interval(10, 10)[1] == pytest.approx(1)
    assert wilson_interval(0, 1)[0] == pytest.approx(0)
