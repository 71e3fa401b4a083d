"""A frame, and what a classifier answers for it."""

from dataclasses import dataclass

import numpy as np


class SourceError(Exception):
    """A source cannot be opened, or is lost; the message is one line."""


@dataclass
class Frame:
    """A frame of a source.

    Attributes:
        index: Position among the frames that were read, from 0.
        time_s: Time since the first frame: by the time stamps of a
            recording, by the clock of a live source.
        image: (H, W, 3) uint8 RGB.
        due_s: When it was due by the clock, or arrived from a live source.
        is_first: Whether it is the first since the source was opened.
    """

    index: int
    time_s: float
    image: np.ndarray
    due_s: float
    is_first: bool = False


@dataclass
class Answer:
    """The classes at a frame.

    Attributes:
        index: Of the newest frame that the answer depends on.
        time_s: Its time.
        middle_s: Middle of the frames that were classified together.
        lag_s: From the moment that the frame was due to the answer.
        scores: Probabilities of the classes, (K,).
    """

    index: int
    time_s: float
    middle_s: float
    lag_s: float
    scores: np.ndarray
