"""Run a classifier over a source, live or in turn."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from .classifier import Classifier, Work
from .frames import Answer, Frame
from .latest_queue import LatestQueue
from .measures import Measures, resident_mb
from .source import Source

# Frames that wait for the display; short delays skip none.
SHOWN_QUEUE = 8
# What waits longer is dropped while something newer waits. The lag is then
# at most this and the time of two calls.
STALE_SHOWN_S, STALE_WORK_S = 0.3, 0.1
READ_AHEAD = 8
POLL_S = 0.1  # so that Ctrl-C is noticed
JOIN_S = 3.0

OnAnswer = Callable[[Answer], object]
OnFrame = Callable[[Frame, Answer | None], bool]


class Session:
    """Reading, classifying and showing, each in a thread of its own.

    Args:
        source: The frames.
        classifier: Classifies them.
        on_answer: Called with each answer.
        on_frame: Called with each frame and the newest answer, in the thread
            of :meth:`run_live` and :meth:`run_in_turn`; returns whether to
            continue.
        clock: Returns the time in s, as that of the source.
        on_idle: Called in the thread of :meth:`run_live` every 0.1 s while
            no frame comes; returns whether to continue.

    Attributes:
        measures: What happened so far.
        reached_s: Time of the last frame that was taken.
        is_complete: Whether the source came to its end, without an error.
    """

    def __init__(
        self,
        source: Source,
        classifier: Classifier,
        on_answer: OnAnswer,
        on_frame: OnFrame,
        clock: Callable[[], float] = time.monotonic,
        on_idle: Callable[[], bool] = lambda: True,
    ):
        self.source, self.classifier = source, classifier
        self.on_answer, self.on_frame = on_answer, on_frame
        self.clock, self.on_idle = clock, on_idle
        self.measures = Measures()
        self.reached_s, self._reached, self.is_complete = 0.0, 0, False
        self._answer = self._error = self._began = None

    def run_live(self):
        """Show every frame as it comes, and classify as fast as possible.

        What waits too long is dropped, so the lag stays bounded.

        Raises:
            UserError: If the source is lost.
            KeyboardInterrupt: After Ctrl-C, once the threads have ended.
        """
        shown = LatestQueue(SHOWN_QUEUE)
        works = LatestQueue(self.classifier.queue_size)
        queues = (shown, works)

        def read():
            for frame in self._counted_frames():
                self._reach(frame)
                shown.put(frame)
                work = self.classifier.push(frame)
                if work is not None:
                    works.put(work)
            self.is_complete = not self.source.stop.is_set()

        def classify():
            for work in self._taken(works, STALE_WORK_S):
                self._classify(work)

        threads = [
            self._start(function, queues) for function in (read, classify)
        ]
        try:
            for frame in self._taken(shown, STALE_SHOWN_S, self.on_idle):
                if not self.on_frame(frame, self._answer):
                    break
                self.measures.shown += 1
                self.measures.shown_lag.add(self.clock() - frame.due_s)
        finally:
            self._finish(threads, queues)
            self.measures.dropped += works.dropped
            self.measures.hidden += shown.dropped
        if self._error is not None:
            self.is_complete = False  # reading may have been faster
            raise self._error

    def run_in_turn(self) -> Iterator[None]:
        """Classify and show all frames in turn; yields after each one.

        Frames are read ahead in another thread. Closing the iterator stops
        it.

        Raises:
            UserError: If the source is lost.
        """
        frames = LatestQueue(READ_AHEAD, drop_oldest=False)

        def read():
            for frame in self._counted_frames():
                frames.put(frame)

        threads = [self._start(read, (frames,))]
        try:
            for frame in self._taken(frames):
                frame.due_s = self.clock()
                work = self.classifier.push(frame)
                if work is not None:
                    self._classify(work)
                self._reach(frame)
                if not self.on_frame(frame, self._answer):
                    return
                self.measures.shown += 1
                yield
            self.is_complete = self._error is None
        finally:
            self._finish(threads, (frames,))
        if self._error is not None:
            raise self._error

    @property
    def end_s(self) -> float:
        """End of the last frame that was taken; 0 before the first one.

        It lasts as long as the others, a single one as its source says.
        """
        lasts_s = self.source.frame_s
        if self._reached > 1 and self.reached_s > 0:
            lasts_s = self.reached_s / (self._reached - 1)
        return self.reached_s + lasts_s if self._reached else 0.0

    def _reach(self, frame: Frame):
        self.reached_s, self._reached = frame.time_s, frame.index + 1

    def _counted_frames(self) -> Iterator[Frame]:
        self._began = self.clock()
        with closing(self.source.frames()) as frames:
            for frame in frames:
                self.measures.read += 1
                yield frame

    def _classify(self, work: Work):
        scores = self.classifier.classify(work)
        answer = Answer(
            work.index,
            work.time_s,
            (work.begin_s + work.time_s) / 2,
            self.clock() - work.due_s,
            scores,
        )
        self._answer = answer
        self.measures.count_answer(answer.lag_s)
        self.on_answer(answer)

    def _start(self, function: Callable, queues: tuple) -> threading.Thread:
        """Run a function in a thread; its end ends the other ones."""

        def guarded():
            try:
                function()
            except BaseException as error:
                self._error = self._error or error
                self.source.stop.set()
            finally:
                for queue in queues:
                    queue.close()

        # A thread that waits for a packet must not keep the program.
        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _taken(
        self,
        queue: LatestQueue,
        stale_s: float | None = None,
        on_idle: Callable[[], bool] | None = None,
    ) -> Iterator:
        """The items of a queue until it is finished.

        Args:
            queue: The queue.
            stale_s: Items due earlier than this are dropped for newer ones.
            on_idle: Called while none comes; returns whether to continue.
        """

        def is_stale(item: Frame | Work) -> bool:
            return self.clock() - item.due_s > stale_s

        while not queue.is_finished:
            item = queue.get(POLL_S, is_stale if stale_s else None)
            if item is not None:
                yield item
            elif on_idle and not on_idle():
                return

    def _finish(self, threads: list, queues: tuple):
        if not self.is_complete:
            self.source.stop.set()
        for queue in queues:
            queue.close()
        reader, *others = threads
        reader.join(JOIN_S)  # it may wait for a packet
        for thread in others:
            thread.join()
        if self._began is not None:
            self.measures.seconds = self.clock() - self._began
        if self.source.pacer:
            self.measures.slipped_s = self.source.pacer.slipped_s
        self.measures.memory_end_mb = resident_mb()
