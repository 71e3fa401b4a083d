"""Read a source frame by frame, and reopen it when it is lost."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from ...errors import UserError
from .frames import Frame, SourceError
from .opened_source import OpenedSource
from .pacing import Pacer

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0


def log_line(line: str):
    print(line, file=sys.stderr, flush=True)


class Source:
    """The frames of a source.

    Args:
        name: As the user gives it, for messages.
        opener: Opens the source; see :func:`opener_of`.
        retries: Most successive attempts to reopen it.
        pacer: Plays a recording at its own speed; None reads it as fast as
            possible.
        stop: Ends the waiting and the reading once it is set.
        log: Called with each line on lost connections.
        clock: Returns the time in s.
        wait: Waits for a number of s; that of ``stop`` by default.

    Attributes:
        num_frames: Of a recording, once it is open; None if unknown.
        is_live: Whether it comes at its own speed and has no end.
        frame_s: Time that a frame lasts, in s, by what opened it.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], OpenedSource],
        retries: int = 10,
        pacer: Pacer | None = None,
        stop: threading.Event | None = None,
        log: Callable[[str], object] = log_line,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ):
        self.name, self.opener, self.retries = name, opener, retries
        self.pacer, self.log, self.clock = pacer, log, clock
        self.stop = stop or threading.Event()
        self.wait = wait or self.stop.wait
        self._opened, self._is_file = None, False
        self._count, self._began, self._last = 0, None, None

    def open(self):
        """Open the source for the first time, unless it is open.

        Raises:
            UserError: If that fails.
        """
        if self._opened is not None:
            return
        try:
            self._opened = self.opener()
        except SourceError as error:
            raise UserError(
                f'{self.name} cannot be opened: {error}; give the number of '
                'a camera, a video file, or an address such as '
                'rtsp://HOST/PATH'
            ) from None
        self.num_frames = self._opened.num_frames
        self.is_live = self._opened.is_live
        self._is_file = self._opened.is_file
        self.frame_s = self._opened.frame_s

    def check(self):
        """Open the source; a live one is closed again, as its frames age.

        Raises:
            UserError: If that fails.
        """
        self.open()
        if self.is_live:
            self._opened.close()
            self._opened = None

    def frames(self) -> Iterator[Frame]:
        """Yield the frames until the end of a recording, or until ``stop``.

        Raises:
            UserError: If the source is lost and cannot be opened again, or
                a file is damaged.
        """
        self.open()
        failures = 0
        while not self.stop.is_set():
            try:
                if self._opened is None:
                    self._reopen()
                for frame in self._frames_once():
                    failures = 0
                    yield frame
                return
            except SourceError as error:
                self._opened, reason = None, str(error)
            if self.stop.is_set():
                return
            if self._is_file:  # which would read the same again
                raise UserError(
                    f'{self.name} cannot be read after {self._last or 0:.1f} '
                    f's: {reason}; repair the file, or cut it there'
                )
            if failures == self.retries:
                raise UserError(
                    f'{self.name} is lost: {reason}; gave up after '
                    f'{failures} attempts to open it again (--retries)'
                )
            delay = min(FIRST_WAIT_S * 2**failures, LONGEST_WAIT_S)
            failures += 1
            self.log(
                f'{self.name}: {reason}; attempt {failures} of '
                f'{self.retries} in {delay:g} s'
            )
            self.wait(delay)

    def _reopen(self):
        opened = self.opener()
        if self._last is not None and not opened.is_live:
            try:
                opened.seek(self._last)
            except SourceError:
                opened.close()
                raise
        self._opened = opened

    def _frames_once(self) -> Iterator[Frame]:
        """The frames until the source ends, is lost, or ``stop`` is set."""
        opened, is_first = self._opened, True
        with closing(opened):
            for time_s, image in opened.pictures:
                if self.stop.is_set():
                    return
                due = self.clock()
                if self._began is None:
                    self._began = due
                if time_s is None:
                    time_s = due - self._began
                elif self.pacer:
                    due = self.pacer.wait_for(time_s)
                self._last = time_s
                yield Frame(self._count, time_s, image, due, is_first)
                self._count += 1
                is_first = False
