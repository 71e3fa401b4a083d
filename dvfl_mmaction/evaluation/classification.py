"""Measures of a classifier from its scores and labels."""

import numpy as np

NUM_BINS = 15  # of the calibration error


def rank_of_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the other classes that score at least as high as the label.

    Args:
        scores: (N, K).
        labels: (N,), each in [0, K).

    Returns:
        (N,) ranks in [0, K): 0 if only the label has the highest score. NaN
        ranks last; a model that gives it is not right in any top-k, see
        :func:`are_numbers`.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    return np.sum(~(scores < own), axis=1) - 1


def are_numbers(scores: np.ndarray) -> np.ndarray:
    """(N,) of bool: whether a clip's scores (N, K) are free of NaN.

    Without that a clip has no prediction. With K classes its rank would be
    within the best K.
    """
    return ~np.isnan(scores).any(1)


def best_class(scores: np.ndarray) -> int:
    """The class of the highest of a clip's scores (K,), the first of equal
    ones; -1 if a score is NaN, see :func:`are_numbers`."""
    return -1 if np.isnan(scores).any() else int(np.argmax(scores))


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Count clips by label and prediction.

    Args:
        labels: (N,), each in [0, ``num_classes``).
        predicted: (N,), likewise, or -1 without a prediction.

    Returns:
        (K, K) counts. Clips without a prediction are not counted.
    """
    valid = predicted >= 0
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels[valid], predicted[valid]), 1)
    return counts


def calibration(
    scores: np.ndarray, ranks: np.ndarray, num_bins: int
) -> dict | None:
    """Compute the expected calibration error and its bins.

    Guo et al., "On Calibration of Modern Neural Networks", eq. 5: the
    distance between accuracy and mean confidence in each of ``num_bins``
    bins ((m - 1) / M, m / M] of confidence, weighted by the clips per bin.

    Args:
        scores: (N, K) probabilities.
        ranks: (N,) from :func:`rank_of_label`.
        num_bins: M.

    Returns:
        ``ece`` in [0, 1] and ``bins``; None if the scores are empty or not
        probabilities, such as NaN.
    """
    sums = scores.sum(1, dtype=np.float64)
    valid = (scores >= 0).all() and (abs(sums - 1) <= 1e-2).all()
    if not len(scores) or not valid:
        return None
    confidence = scores.max(1).astype(np.float64)
    correct = ranks < 1
    bin_of_clip = np.ceil(confidence * num_bins).astype(int) - 1
    bin_of_clip = bin_of_clip.clip(0, num_bins - 1)
    bins, ece = [], 0.0
    for index in range(num_bins):
        inside = bin_of_clip == index
        clips = int(inside.sum())
        means = dict(confidence=None, accuracy=None)
        if clips:
            means['confidence'] = float(confidence[inside].mean())
            means['accuracy'] = float(correct[inside].mean())
            gap = abs(means['accuracy'] - means['confidence'])
            ece += gap * clips / len(scores)
        bins.append(dict(upper=(index + 1) / num_bins, clips=clips) | means)
    return dict(ece=ece, bins=bins)
