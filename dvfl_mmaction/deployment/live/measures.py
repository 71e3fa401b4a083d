"""Count frames, and measure rates, lags and memory in constant space."""

import os
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LONGEST_MS = 60_000  # longer lags count as this in the percentiles
RATE_SPAN_S = 2.0


class LagHistogram:
    """Lags, rounded up to whole ms.

    Attributes:
        longest_ms: The longest lag; 0 without one.
    """

    def __init__(self):
        self._counts = np.zeros(LONGEST_MS + 1, np.int64)
        self.longest_ms = 0.0

    def add(self, lag_s: float):
        lag_ms = max(0.0, 1e3 * lag_s)
        self.longest_ms = max(self.longest_ms, lag_ms)
        self._counts[min(int(np.ceil(lag_ms)), LONGEST_MS)] += 1

    def percentile(self, share: float) -> int | None:
        """The lag in ms that a share of all lags, in (0, 1], is at most.

        None without lags.
        """
        up_to = np.cumsum(self._counts)
        if not up_to[-1]:
            return None
        return int(np.searchsorted(up_to, share * up_to[-1]))

    def summary(self) -> dict:
        """``p50``, ``p95`` and ``max`` in ms."""
        return dict(
            p50=self.percentile(0.5),
            p95=self.percentile(0.95),
            max=round(self.longest_ms, 1),
        )


class RateMeter:
    """Events per second over the last 2 s."""

    def __init__(self):
        self._times = deque()

    def add(self, time_s: float) -> float:
        """Count an event; returns the rate, 0 for the first one."""
        self._times.append(time_s)
        while time_s - self._times[0] > RATE_SPAN_S:
            self._times.popleft()
        span = time_s - self._times[0]
        return (len(self._times) - 1) / span if span > 0 else 0.0


@dataclass
class Measures:
    """What happened in a run.

    Attributes:
        read: Frames read from the source.
        shown: Frames handed to the window, the video, or nobody.
        answered: Frames or windows that were classified.
        dropped: Frames or windows that were not, for lack of time.
        hidden: Frames that were not shown, for lack of time.
        seconds: Duration, from the first frame to the last.
        slipped_s: Time by which a recording played slower than its speed.
        lag: Lags of the answers.
        shown_lag: Lags of the shown frames.
        memory_start_mb: Resident memory at the first answer; None if unknown.
        memory_end_mb: The same at the end.
    """

    read: int = 0
    shown: int = 0
    answered: int = 0
    dropped: int = 0
    hidden: int = 0
    seconds: float = 0.0
    slipped_s: float = 0.0
    lag: LagHistogram = field(default_factory=LagHistogram)
    shown_lag: LagHistogram = field(default_factory=LagHistogram)
    memory_start_mb: float | None = None
    memory_end_mb: float | None = None

    def count_answer(self, lag_s: float):
        """Count an answer and its lag."""
        if not self.answered:
            self.memory_start_mb = resident_mb()
        self.answered += 1
        self.lag.add(lag_s)

    def per_second(self, count: int) -> float:
        return round(count / self.seconds, 2) if self.seconds > 0 else 0.0

    def summary(self) -> dict:
        """Plain values by name."""
        return dict(
            frames_read=self.read,
            frames_shown=self.shown,
            frames_not_shown=self.hidden,
            answers=self.answered,
            dropped=self.dropped,
            seconds=round(self.seconds, 2),
            slipped_s=round(self.slipped_s, 2),
            read_per_second=self.per_second(self.read),
            shown_per_second=self.per_second(self.shown),
            answers_per_second=self.per_second(self.answered),
            lag_ms=self.lag.summary(),
            shown_lag_ms=self.shown_lag.summary(),
            memory_start_mb=self.memory_start_mb,
            memory_end_mb=self.memory_end_mb,
        )

    def line(self) -> str:
        """The summary in one line."""
        parts = [
            f'{self.read} frames read in {self.seconds:.1f} s',
            f'{self.shown} shown ({self.per_second(self.shown):.1f}/s)',
            f'{self.answered} answers '
            f'({self.per_second(self.answered):.1f}/s), {self.dropped} '
            'dropped',
        ]
        if self.answered:
            parts.append('lag ' + lag_text(self.lag))
        if self.shown_lag.percentile(1) is not None:  # none out of real time
            parts.append('lag of the picture ' + lag_text(self.shown_lag))
        if self.slipped_s:
            parts.append(
                f'played {self.slipped_s:.1f} s slower than its speed'
            )
        if self.memory_start_mb and self.memory_end_mb:
            parts.append(
                f'memory {self.memory_start_mb:.0f} MB at the first answer, '
                f'{self.memory_end_mb:.0f} MB at the end'
            )
        return '; '.join(parts)


def lag_text(lags: LagHistogram) -> str:
    values = lags.summary()
    return (
        f'p50 {values["p50"]}, p95 {values["p95"]}, max {values["max"]:.0f} ms'
    )


def resident_mb() -> float | None:
    """Resident memory of this process, in 10^6 bytes; None if unknown."""
    if not sys.platform.startswith('linux'):
        return None
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return round(pages * os.sysconf('SC_PAGE_SIZE') / 1e6, 1)
