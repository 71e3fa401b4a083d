"""The clips of a validation that the model gets most wrong."""

import heapq
from dataclasses import dataclass, field

import numpy as np


@dataclass(order=True)
class HardClip:
    """A clip and its prediction; they are ordered by their loss.

    Attributes:
        loss: Cross-entropy with the label, nats; infinite with NaN scores.
        name: File of the clip.
        label: Its class.
        predicted: The most probable class.
        share: Probability of that class, in [0, 1]; NaN with NaN scores.
        frame: A frame of the clip, (H, W, 3) uint8 RGB.
    """

    loss: float
    name: str
    label: int = field(compare=False)
    predicted: int = field(compare=False)
    share: float = field(compare=False)
    frame: np.ndarray = field(compare=False, repr=False)

    @property
    def is_right(self) -> bool:
        """Whether the label is predicted, and by scores that are numbers."""
        return self.predicted == self.label and not np.isnan(self.share)


def to_probabilities(scores: np.ndarray) -> np.ndarray:
    """Probabilities of a clip's scores, (K,).

    Scores that are none, such as averaged logits, pass a softmax.
    """
    scores = scores.astype(np.float64)
    if (scores >= 0).all() and abs(scores.sum() - 1) < 1e-2:
        return scores
    exponents = np.exp(scores - scores.max())
    return exponents / exponents.sum()


def judge(
    scores: np.ndarray, label: int, name: str, frame: np.ndarray
) -> HardClip:
    """Loss and prediction of a clip.

    Args:
        scores: (K,) probabilities or logits.
        label: Its class.
        name: File of the clip.
        frame: (H, W, 3) uint8 RGB.
    """
    shares = to_probabilities(scores)
    predicted = int(shares.argmax())
    # A probability of 0 in float32 is one below 1e-45.
    loss = float(-np.log(max(shares[label], 1e-45)))
    loss = np.inf if np.isnan(loss) else loss  # of a model that diverged
    return HardClip(
        loss, name, int(label), predicted, float(shares[predicted]), frame
    )


def hardest(clips: list[HardClip], count: int) -> list[HardClip]:
    """The clips of highest loss, each once, worst first."""
    distinct = {clip.name: clip for clip in clips}
    return heapq.nlargest(count, distinct.values())
