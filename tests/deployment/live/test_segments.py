"""Segments of sequences that are worked by hand."""

import numpy as np
import pytest

from dvfl_mmaction.deployment.live.segments import (
    Segmenter,
    SegmentRule,
    find_segments,
)

PLAIN = SegmentRule(smooth_s=0, enter=0.6, leave=0.4, min_length_s=0)


def segments(rows, rule, step=1.0, end=None):
    """Segments of answers at 0, step, 2 step, …, as plain tuples."""
    times = [step * i for i in range(len(rows))]
    end = step * len(rows) if end is None else end
    found = find_segments(times, np.array(rows, float), end, rule)
    return [
        (s.start_s, s.end_s, s.label, pytest.approx(s.score)) for s in found
    ]


def two(*scores):
    """Rows of two classes from the scores of class 0."""
    return [(s, 1 - s) for s in scores]


def three(*scores):
    """Rows where only class 0 can reach the threshold."""
    return [(s, (1 - s) / 2, (1 - s) / 2) for s in scores]


def test_a_segment_begins_at_enter_and_ends_below_leave():
    rows = three(0.5, 0.6, 0.5, 0.4, 0.39, 0.5)
    assert segments(rows, PLAIN) == [(1, 4, 0, 0.5)]


def test_another_class_that_begins_ends_a_segment():
    rows = two(0.9, 0.7, 0.2, 0.3)
    assert segments(rows, PLAIN) == [(0, 2, 0, 0.8), (2, 4, 1, 0.75)]


def test_another_class_below_enter_neither_ends_nor_hides_the_end():
    rows = [(0.7, 0.2, 0.1), (0.45, 0.5, 0.05), (0.39, 0.55, 0.06)]
    assert segments(rows, PLAIN) == [(0, 2, 0, (0.7 + 0.45) / 2)]


def test_an_answer_stands_until_the_next_and_the_first_from_the_start():
    found = find_segments([0.5, 2.0], np.array(two(0.9, 0.9)), 3.5, PLAIN)
    assert [(s.start_s, s.end_s) for s in found] == [(0, 3.5)]


def test_short_segments_are_dropped_and_their_neighbours_joined():
    rule = SegmentRule(smooth_s=0, enter=0.6, leave=0.4, min_length_s=2)
    rows = two(0.9, 0.9, 0.1, 0.7, 0.7, 0.7)
    # Class 1 lasts 1 s. The score is the mean weighted by 2 s and 3 s.
    assert segments(rows, rule) == [(0, 6, 0, (2 * 0.9 + 3 * 0.7) / 5)]
    # A gap of 2 s separates.
    rows = three(0.9, 0.9, 0.1, 0.1, 0.7, 0.7)
    assert segments(rows, rule) == [(0, 2, 0, 0.9), (4, 6, 0, 0.7)]


def test_successive_segments_of_two_classes_are_not_joined():
    rule = SegmentRule(smooth_s=0, enter=0.6, leave=0.4, min_length_s=2)
    rows = two(0.9, 0.9, 0.2, 0.2)
    assert segments(rows, rule) == [(0, 2, 0, 0.9), (2, 4, 1, 0.8)]


def test_scores_are_averaged_over_the_answers_around_each():
    rule = SegmentRule(smooth_s=2, enter=0.6, leave=0.4, min_length_s=0)
    # Means of class 0: 0.95, 0.633, 0.6, 0.333, 0.25, 0.1
    rows = three(0.9, 1.0, 0.0, 0.8, 0.2, 0.0)
    assert segments(rows, rule) == [(0, 3, 0, (0.95 + 1.9 / 3 + 0.6) / 3)]
    # A single high answer is no segment.
    assert segments(three(0.1, 0.9, 0.1), rule) == []


def test_a_window_of_one_second_at_a_tenth_spans_eleven_answers():
    rule = SegmentRule(smooth_s=1, enter=0.52, leave=0.5, min_length_s=0)
    rows = three(*[0] * 20, *[1] * 20)
    # At 2.0 s, 6 of 11 answers are 1; at 1.9 s, 5 of 11.
    (found,) = segments(rows, rule, step=0.1)
    assert found[:2] == (pytest.approx(2.0), pytest.approx(4.0))


def test_the_unit_of_time_changes_nothing():
    """Multiples of 0.1 are not exact; the same answers are averaged."""
    rows = np.random.default_rng(0).dirichlet([0.5] * 3, 200)
    options = dict(enter=0.45, leave=0.4, min_length_s=0)
    tenths = segments(rows, SegmentRule(smooth_s=1, **options), step=0.1)
    whole = segments(rows, SegmentRule(smooth_s=10, **options))
    assert len(whole) > 5
    assert [tuple(np.multiply(s[:2], 10)) for s in tenths] == [
        pytest.approx(s[:2]) for s in whole
    ]
    assert [s[2] for s in tenths] == [s[2] for s in whole]
    assert [s[3].expected for s in tenths] == [s[3] for s in whole]


def test_one_by_one_only_the_last_scores_are_held():
    segmenter = Segmenter(SegmentRule(smooth_s=1))
    for number in range(1000):
        segmenter.add(0.1 * number, np.array([0.9, 0.1]))
        assert len(segmenter._recent) <= 13
    (segment,) = segmenter.finish(100)
    assert (segment.start_s, segment.end_s) == (0, 100)


def test_scores_without_numbers_end_a_segment_and_begin_none():
    nan = np.nan
    rows = [(0.9, 0.1), (nan, nan), (0.9, nan), (0.7, 0.3)]
    assert segments(rows, PLAIN) == [(0, 1, 0, 0.9), (3, 4, 0, 0.7)]
    # One class alone is no number: the others are no answer either.
    assert segments([(0.9, 0.05, nan)], PLAIN) == []
    rows = [(0.9, 0.1), (0.9, nan), (0.7, 0.3)]
    assert segments(rows, PLAIN) == [(0, 1, 0, 0.9), (2, 3, 0, 0.7)]


def test_without_answers_there_is_no_segment():
    assert find_segments([], [], 3.0, PLAIN) == []
