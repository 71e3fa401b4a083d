"""Classify a stream by its windows, or frame by frame."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .frames import Frame

Prepare = Callable[[np.ndarray], np.ndarray]
BLACK = np.zeros((240, 320, 3), np.uint8)


@dataclass
class Work:
    """What is classified at once.

    Attributes:
        pictures: (h, w, 3) uint8 RGB each, as the model takes them.
        index: Of the newest frame.
        time_s: Its time.
        begin_s: Time of the oldest frame.
        due_s: When the newest frame was due, by the clock.
        run: Number of the connection that the frames are of.
    """

    pictures: Sequence[np.ndarray]
    index: int
    time_s: float
    begin_s: float
    due_s: float
    run: int


class Classifier(ABC):
    """What classifies a stream.

    ``push`` runs where frames are read, ``classify`` where there is time.

    Args:
        prepare: Scales and crops a frame for the model.
        num_classes: Number of classes K.
        class_names: K names; None if unknown.

    Attributes:
        queue_size: Most works that may wait for ``classify``.
        span: Frames of the stream that an answer covers.
    """

    queue_size: int
    span = 1

    def __init__(
        self,
        prepare: Prepare,
        num_classes: int,
        class_names: Sequence[str] | None = None,
    ):
        self.prepare = prepare
        self.num_classes = num_classes
        self.class_names = class_names

    def name_of(self, index: int) -> str:
        """Name of a class, or its number."""
        return self.class_names[index] if self.class_names else str(index)

    @abstractmethod
    def for_another_stream(self) -> 'Classifier':
        """The same model for another stream, also in another thread."""

    @abstractmethod
    def warm_up(self):
        """Classify a black picture; the first call of a model is slow."""

    @abstractmethod
    def push(self, frame: Frame) -> Work | None:
        """Take the next frame; returns what is due to be classified."""

    @abstractmethod
    def classify(self, work: Work) -> np.ndarray:
        """Probabilities of the classes, (K,)."""


class WindowClassifier(Classifier):
    """A model of clips, applied to the last frames.

    A window never spans two connections, or pictures of two sizes. Windows
    that are too late are dropped whole, so that each has its frames at the
    stride.

    Args:
        score: Maps the pictures of a clip to probabilities, (K,).
        prepare: Scales and crops a frame.
        num_classes: Number of classes K.
        class_names: K names; None if unknown.
        clip_len: Frames of a clip.
        stride: Frames from one frame of a clip to the next.
        every: Frames from one clip to the next.
    """

    queue_size = 1

    def __init__(
        self,
        score: Callable[[Sequence[np.ndarray]], np.ndarray],
        prepare: Prepare,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        *,
        clip_len: int,
        stride: int = 1,
        every: int = 1,
    ):
        super().__init__(prepare, num_classes, class_names)
        self.score, self.clip_len = score, clip_len
        self.stride, self.every = stride, every
        self.span = (clip_len - 1) * stride + 1
        self._recent = deque(maxlen=self.span)
        self._run = self._since = 0

    def for_another_stream(self) -> 'WindowClassifier':
        return WindowClassifier(
            self.score,
            self.prepare,
            self.num_classes,
            self.class_names,
            clip_len=self.clip_len,
            stride=self.stride,
            every=self.every,
        )

    def warm_up(self):
        self.score([self.prepare(BLACK)] * self.clip_len)

    def push(self, frame: Frame) -> Work | None:
        picture = self.prepare(frame.image)
        last = self._recent[-1][1] if self._recent else picture
        if frame.is_first or picture.shape != last.shape:
            self._recent.clear()
            self._run += 1
            self._since = self.every
        self._recent.append((frame.time_s, picture))
        self._since += 1
        if len(self._recent) < self.span:
            return None
        if self._since < self.every:
            return None
        self._since = 0
        pictures = [picture for _, picture in self._recent]
        return Work(
            pictures[:: self.stride],
            frame.index,
            frame.time_s,
            self._recent[0][0],
            frame.due_s,
            self._run,
        )

    def classify(self, work: Work) -> np.ndarray:
        return self.score(work.pictures)


class FrameClassifier(Classifier):
    """A causal model with a state, applied to every frame.

    A new connection, or another size, begins with a new state.

    Args:
        step: Maps a picture and a state to probabilities, (K,), and the next
            state.
        initial_state: Makes the first state for a height and a width.
        prepare: Scales and crops a frame.
        num_classes: Number of classes K.
        class_names: K names; None if unknown.
        stride: Frames from one that the model gets to the next.
    """

    queue_size = 4

    def __init__(
        self,
        step: Callable,
        initial_state: Callable,
        prepare: Prepare,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        *,
        stride: int = 1,
    ):
        super().__init__(prepare, num_classes, class_names)
        self.step, self.initial_state = step, initial_state
        self.stride = stride
        self._run = self._count = 0
        self._state = self._kind = None

    def for_another_stream(self) -> 'FrameClassifier':
        return FrameClassifier(
            self.step,
            self.initial_state,
            self.prepare,
            self.num_classes,
            self.class_names,
            stride=self.stride,
        )

    def warm_up(self):
        picture = self.prepare(BLACK)
        self.step(picture, self.initial_state(*picture.shape[:2]))

    def push(self, frame: Frame) -> Work | None:
        if frame.is_first:
            self._run += 1
            self._count = 0
        self._count += 1
        if (self._count - 1) % self.stride:
            return None
        time_s = frame.time_s
        picture = self.prepare(frame.image)
        return Work(
            [picture], frame.index, time_s, time_s, frame.due_s, self._run
        )

    def classify(self, work: Work) -> np.ndarray:
        (picture,) = work.pictures
        kind = (work.run, picture.shape[:2])
        if kind != self._kind:
            self._state = self.initial_state(*kind[1])
            self._kind = kind
        scores, self._state = self.step(picture, self._state)
        return scores
