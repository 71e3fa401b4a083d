"""Counts, rates and lags."""

import mmap
import sys

import pytest

from dvfl_mmaction.deployment.live.measures import (
    LagHistogram,
    Measures,
    RateMeter,
    resident_mb,
)


def test_percentiles_are_those_of_the_lags_rounded_up():
    lags = LagHistogram()
    for ms in range(1, 101):
        lags.add(ms / 1000 - 0.0004)
    assert lags.summary() == dict(p50=50, p95=95, max=99.6)


def test_a_single_lag_and_lags_beyond_the_range():
    lags = LagHistogram()
    assert lags.percentile(0.5) is None
    lags.add(-0.001)  # clocks differ by less than a ms
    assert lags.summary() == dict(p50=0, p95=0, max=0.0)
    lags.add(100.0)
    assert lags.summary() == dict(p50=0, p95=60_000, max=100_000.0)


def test_the_rate_is_that_of_the_last_two_seconds():
    meter = RateMeter()
    assert meter.add(0.0) == 0
    assert [meter.add(t) for t in (0.5, 1.0)] == [2, 2]
    for number in range(80):
        rate = meter.add(10 + number * 0.05)
    assert rate == pytest.approx(20)


def test_the_summary_has_the_rates_and_the_line_says_them():
    measures = Measures(read=250, shown=240, dropped=3, hidden=10, seconds=10)
    for _ in range(5):
        measures.count_answer(0.02)
    summary = measures.summary()
    assert summary['shown_per_second'] == 24
    assert summary['answers'] == 5
    assert summary['lag_ms'] == dict(p50=20, p95=20, max=20.0)
    assert measures.line().startswith(
        '250 frames read in 10.0 s; 240 shown (24.0/s); 5 answers (0.5/s), '
        '3 dropped; lag p50 20, p95 20, max 20 ms'
    )
    # A recording that is read as fast as possible has none.
    assert 'lag of the picture' not in measures.line()
    measures.shown_lag.add(0.03)
    assert 'lag of the picture p50 30, p95 30, max 30 ms' in measures.line()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_resident_memory_follows_an_allocation():
    before = resident_mb()
    # A mapping of its own: malloc may have freed memory to give again.
    with mmap.mmap(-1, 50_000_000) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        assert 45 < resident_mb() - before < 60
