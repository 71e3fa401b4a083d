"""Lay the maps of a stage over the frames that the network saw."""

import torch.nn.functional as F
from torch import Tensor


def stride_of(stage: int) -> int:
    """Pixels per position of a stage, numbered from 1."""
    return 4 * 2 ** (stage - 1)


def upsample(maps: Tensor, stage: int, size: tuple[int, int]) -> Tensor:
    """Upsample maps bilinearly to the frames.

    A size that is no multiple of the stride is floored by the network: the
    pixels at the right and at the bottom that it drops get the values at
    the edge.

    Args:
        maps: (N, H, W).
        stage: Number of the stage, from 1.
        size: Height and width of the frames, pixels.

    Returns:
        (N, *size).
    """
    stride = stride_of(stage)
    covered = tuple(side * stride for side in maps.shape[1:])
    maps = F.interpolate(
        maps[:, None], covered, mode='bilinear', align_corners=False
    )
    rest = [full - side for full, side in zip(size, covered, strict=True)]
    maps = F.pad(maps, (0, rest[1], 0, rest[0]), mode='replicate')
    return maps[:, 0]
