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


def test_the_summary_has_all_counts_and_rates_by_name():
    measures = Measures(20, 18, 0, 3, 2, 8.0, 1.234)
    measures.shown_lag.add(0.03)
    measures.count_answer(0.02)
    memory = measures.memory_start_mb
    measures.count_answer(0.04)
    measures.memory_end_mb = 7.0
    assert measures.memory_start_mb is memory  # of the first answer
    assert measures.summary() == dict(
        frames_read=20,
        frames_shown=18,
        frames_not_shown=2,
        answers=2,
        dropped=3,
        seconds=8.0,
        slipped_s=1.23,
        read_per_second=2.5,
        shown_per_second=2.25,
        answers_per_second=0.25,
        lag_ms=dict(p50=20, p95=40, max=40.0),
        shown_lag_ms=dict(p50=30, p95=30, max=30.0),
        memory_start_mb=memory,
        memory_end_mb=7.0,
    )
    measures.memory_start_mb = 5.0
    assert measures.line().endswith(
        'played 1.2 s slower than its speed; memory 5 MB at the first '
        'answer, 7 MB at the end'
    )
    assert Measures().summary()['read_per_second'] == 0


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_resident_memory_follows_an_allocation():
    before = resident_mb()
    # A mapping of its own: malloc may have freed memory to give again.
    with mmap.mmap(-1, 50_000_000) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        assert 45 < resident_mb() - before < 60
