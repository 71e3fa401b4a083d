"""A recording plays at its own speed, or slower, but never late for long."""

import pytest

from dvfl_mmaction.deployment.live.pacing import Pacer


class Clock:
    """A clock that only waiting and work move."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def test_frames_are_due_at_their_time_stamps():
    clock = Clock()
    pacer = Pacer(clock, clock.wait)
    due = [pacer.wait_for(t) for t in (0.5, 0.54, 0.6, 1.5)]
    assert due == pytest.approx([100.0, 100.04, 100.1, 101.0])
    assert clock.now == pytest.approx(101.0)
    assert pacer.slipped_s == 0


def test_short_delays_are_made_up_and_count_as_lag():
    clock = Clock()
    pacer = Pacer(clock, clock.wait)
    pacer.wait_for(0.0)
    clock.wait(0.3)  # a slow picture
    assert pacer.wait_for(0.04) == pytest.approx(100.04)
    assert clock.now == pytest.approx(100.3)  # no wait
    assert pacer.wait_for(0.4) == pytest.approx(100.4)


def test_a_reader_that_is_too_slow_plays_slower_with_a_bounded_lag():
    clock = Clock()
    pacer = Pacer(clock, clock.wait)
    lags = []
    for number in range(1000):  # 40 s of video take 100 s to read
        lags.append(clock.now - pacer.wait_for(number * 0.04))
        clock.wait(0.1)
    assert max(lags) <= 1.1
    assert pacer.slipped_s == pytest.approx(60, abs=1.5)
