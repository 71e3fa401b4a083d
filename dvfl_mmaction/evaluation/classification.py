"""What a table of scores and labels says of a classifier."""

import numpy as np


def rank_of_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes score as high as the label or higher.

    Args:
        scores: (N, K).
        labels: (N,), each in [0, K).

    Returns:
        (N,) ranks in [0, K): 0 where the label alone is on top. A score that
        is not a number ranks last.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    return np.sum(~(scores < own), axis=1) - 1


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Counts by label and prediction.

    Args:
        labels: (N,), each in [0, ``num_classes``).
        predicted: (N,), likewise, or -1 where there is no prediction.

    Returns:
        (K, K) counts. Clips without prediction are in none.
    """
    seen = predicted >= 0
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels[seen], predicted[seen]), 1)
    return counts


def calibration(
    scores: np.ndarray, ranks: np.ndarray, num_bins: int
) -> dict | None:
    """Expected calibration error, and the bins that it is made of.

    Guo et al., "On Calibration of Modern Neural Networks", eq. 5: the
    distance of accuracy from mean confidence in each of ``num_bins`` bins
    ((m - 1) / M, m / M] of confidence, weighted by the clips in it.

    Args:
        scores: (N, K) probabilities.
        ranks: (N,) of :func:`rank_of_label`.
        num_bins: M.

    Returns:
        ``ece`` in [0, 1] and ``bins``; None where the scores are no
        probabilities, or there are none.
    """
    sums = scores.sum(1, dtype=np.float64)
    if not len(scores) or (scores < 0).any() or (abs(sums - 1) > 1e-2).any():
        return None
    confidence = scores.max(1).astype(np.float64)
    right = ranks < 1
    places = np.ceil(confidence * num_bins).astype(int) - 1
    places = places.clip(0, num_bins - 1)
    bins, ece = [], 0.0
    for place in range(num_bins):
        inside = places == place
        clips = int(inside.sum())
        means = dict(confidence=None, accuracy=None)
        if clips:
            means['confidence'] = float(confidence[inside].mean())
            means['accuracy'] = float(right[inside].mean())
            gap = abs(means['accuracy'] - means['confidence'])
            ece += gap * clips / len(scores)
        bins.append(dict(upper=(place + 1) / num_bins, clips=clips) | means)
    return dict(ece=ece, bins=bins)
