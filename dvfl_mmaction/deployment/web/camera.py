"""The classes that a visitor's camera shows, frame by frame."""

import time
from collections import deque

import numpy as np

from ..live.classifier import Classifier
from ..live.frames import Frame

MEASURED_FRAMES = 20
PAUSE_S = 3.0  # a longer gap begins a new stream


class CameraSession:
    """The stream of one visitor.

    Args:
        classifier: Of a causal model; the session uses one of its own.
    """

    def __init__(self, classifier: Classifier):
        self.classifier = classifier.for_another_stream()
        self._count, self._began, self._last = 0, time.monotonic(), None
        self._times = deque(maxlen=MEASURED_FRAMES)
        self.scores, self.classify_s = None, 0.0

    def __deepcopy__(self, memo):
        return self  # gradio copies states

    def take(self, image: np.ndarray) -> np.ndarray | None:
        """Classify the next frame, (H, W, 3) uint8 RGB.

        Returns:
            Probabilities of the classes, (K,); those of the frame before if
            the model's stride leaves this one out.
        """
        now = time.monotonic()
        is_first = self._last is None or now - self._last > PAUSE_S
        if is_first:
            self._times.clear()
        frame = Frame(self._count, now - self._began, image, now, is_first)
        work = self.classifier.push(frame)
        if work is not None:
            self.scores = self.classifier.classify(work)
            self.classify_s = time.monotonic() - now
        self._count += 1
        self._last = time.monotonic()
        self._times.append(self._last)
        return self.scores

    @property
    def rate(self) -> float:
        """Frames per s, over the last 20; 0 at the beginning."""
        if len(self._times) < 2:
            return 0.0
        span = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / span if span else 0.0
