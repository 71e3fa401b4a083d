"""Play the frames of a recording at their own speed."""

import time
from collections.abc import Callable

MOST_LATE_S = 1.0


class Pacer:
    """Waits until frames are due.

    A reader that is too slow would be late by more with every frame. When
    it is late by over a second, the later frames are due later, so the
    recording plays slower and the lag stays bounded.

    Args:
        clock: Returns the time in s.
        wait: Sleeps for a number of s.

    Attributes:
        slipped_s: Sum of the delays, in s.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ):
        self.clock, self.wait = clock, wait
        self.slipped_s = 0.0
        self._origin = None  # the clock at time 0 of the recording

    def wait_for(self, time_s: float) -> float:
        """Wait until a frame is due.

        Args:
            time_s: Time of the frame in the recording.

        Returns:
            When it was due, by the clock.
        """
        now = self.clock()
        if self._origin is None:
            self._origin = now - time_s
        due = self._origin + time_s
        late = now - due
        if late < 0:
            self.wait(-late)
        elif late > MOST_LATE_S:
            self.slipped_s += late
            self._origin += late
            due = now
        return due
