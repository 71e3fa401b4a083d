"""Segments of a class in a sequence of scores."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...evaluation.classification import best_class

ROUNDING = 1e-9  # s


@dataclass(frozen=True)
class SegmentRule:
    """When a segment of a class begins and ends.

    The scores are averaged over the answers within ``smooth_s / 2`` before
    and after each. A segment begins where the largest average is at least
    ``enter``. It ends where the average of its class is below ``leave``, or
    where another class begins, or where an average is NaN. Segments shorter
    than ``min_length_s`` are then dropped, and successive ones of a class
    joined if the gap between them is shorter than that.

    Attributes:
        smooth_s: In s; 0 does not average.
        enter: In (0, 1].
        leave: In [0, enter].
        min_length_s: In s; 0 keeps and separates all.
    """

    smooth_s: float = 1.0
    enter: float = 0.5
    leave: float = 0.35
    min_length_s: float = 1.0


@dataclass(frozen=True)
class Segment:
    """A class from a time to a time.

    Attributes:
        start_s: In s.
        end_s: In s.
        label: The class.
        score: Mean of its averaged scores, in [0, 1].
    """

    start_s: float
    end_s: float
    label: int
    score: float


def find_segments(
    times: Iterable[float],
    scores: Iterable[np.ndarray],
    end_s: float,
    rule: SegmentRule,
) -> list[Segment]:
    """Find the segments of a recording that starts at 0 s.

    An answer stands until the next one, the first one also before it, and
    the last one until ``end_s``.

    Args:
        times: Times of the answers in s, increasing.
        scores: Probabilities of the classes, (K,), one per time.
        end_s: End of the recording.
        rule: When segments begin and end.

    Returns:
        In order, without overlap.
    """
    segmenter = Segmenter(rule)
    for time_s, row in zip(times, scores, strict=True):
        segmenter.add(time_s, row)
    return segmenter.finish(end_s)


class Segmenter:
    """:func:`find_segments` for answers that come one by one.

    It holds only the scores of the last ``smooth_s`` seconds.
    """

    def __init__(self, rule: SegmentRule):
        self.rule = rule
        self.segments = []
        self._recent = deque()  # (time, scores), for the averages
        self._pending = deque()  # times whose average is not known yet
        self._label = None  # class of the open segment
        self._start = self._total = self._count = 0
        self._has_begun = False

    def add(self, time_s: float, scores: np.ndarray):
        """Add an answer."""
        half = self.rule.smooth_s / 2
        while self._pending and self._pending[0] < time_s - half - ROUNDING:
            self._average_next()
        self._recent.append((time_s, np.asarray(scores, np.float64)))
        self._pending.append(time_s)

    def finish(self, end_s: float) -> list[Segment]:
        """End the recording, and return all segments."""
        while self._pending:
            self._average_next()
        self._end_segment(end_s)
        return self.segments

    def _average_next(self):
        """Average the scores around the oldest pending answer."""
        time_s = self._pending.popleft()
        half = self.rule.smooth_s / 2 + ROUNDING
        while self._recent[0][0] < time_s - half:
            self._recent.popleft()
        near = [row for t, row in self._recent if t <= time_s + half]
        self._decide(time_s, np.mean(near, 0))

    def _decide(self, time_s: float, scores: np.ndarray):
        """Begin, continue or end a segment at an answer."""
        rule, best = self.rule, best_class(scores)
        is_known = best >= 0  # no score is NaN
        begins = is_known and scores[best] >= rule.enter
        if self._label is not None:
            is_replaced = begins and best != self._label
            stays = is_known and scores[self._label] >= rule.leave
            if is_replaced or not stays:
                self._end_segment(time_s)
        if self._label is None and begins:
            self._label = best
            self._start = time_s if self._has_begun else 0.0
            self._total = self._count = 0
        if self._label is not None:
            self._total += scores[self._label]
            self._count += 1
        self._has_begun = True

    def _end_segment(self, end_s: float):
        if self._label is None:
            return
        label, start = self._label, self._start
        score = float(self._total / self._count)
        self._label = None
        shortest = self.rule.min_length_s - ROUNDING
        if end_s - start < shortest:
            return
        last = self.segments[-1] if self.segments else None
        if last and last.label == label and start - last.end_s < shortest:
            before, now = last.end_s - last.start_s, end_s - start
            score = (last.score * before + score * now) / (before + now)
            start = self.segments.pop().start_s
        self.segments.append(Segment(start, end_s, label, score))
