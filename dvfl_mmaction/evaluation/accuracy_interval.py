"""The interval of an accuracy that was measured on a number of clips."""

import math

Z_95 = 1.959964  # two-sided, of the normal distribution


def wilson_interval(
    correct: int, clips: int, z: float = Z_95
) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, 1927).

    It is within 0 to 1, also for few clips and for shares near 0 and 1. It
    is about the choice of the clips, not about another training.

    Args:
        correct: Clips that are right.
        clips: All clips, at least 1.
        z: Quantile of the normal distribution; the default gives 95 %.

    Returns:
        Lower and upper end.
    """
    share = correct / clips
    scale = 1 + z * z / clips
    middle = share + z * z / (2 * clips)
    half = z * math.sqrt(
        share * (1 - share) / clips + z * z / (4 * clips * clips)
    )
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
