"""A depthwise convolution that trains fast on tiny maps on a CPU.

oneDNN has no kernel for the weight gradient of a depthwise convolution whose
window is larger than the map. It falls back to one matrix product per channel,
which takes up to 25 times as long as the sum below.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cpu_linear import is_eager_on_cpu, is_plain

# From 4 x 4 positions on, the sum over all pairs costs more than it saves.
MAX_POSITIONS = 9


class DepthwiseConv(nn.Conv2d):
    """Convolution of each channel by itself; the size of the map stays."""

    def __init__(self, channels: int, kernel_size: int):
        super().__init__(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=channels,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        height, width = x.shape[2:]
        if (
            is_eager_on_cpu(x)
            and torch.is_grad_enabled()
            and max(height, width) < self.kernel_size[0]
            and height * width <= MAX_POSITIONS
            and is_plain(self.weight)
        ):
            return sum_over_positions(x, self.weight)
        return super().forward(x)


def sum_over_positions(x: Tensor, weight: Tensor) -> Tensor:
    """Depthwise convolution as a weighted sum over all input positions.

    Args:
        x: (N, C, H, W).
        weight: (C, 1, k, k), with k odd.

    Returns:
        (N, C, H, W), channels last in memory.
    """
    height, width = x.shape[2:]
    positions = height * width
    # The response to a map that is 1 at one position and 0 elsewhere.
    impulses = torch.eye(positions, dtype=weight.dtype, device=weight.device)
    impulses = impulses.reshape(positions, 1, height, width)
    responses = F.conv2d(impulses, weight, padding=weight.shape[-1] // 2)
    # (input position, C, H, W) -> (input position, output position, C)
    responses = responses.flatten(2).transpose(1, 2)
    x = x.permute(0, 2, 3, 1).flatten(1, 2)  # (N, input position, C)
    first, *others = zip(x.split(1, dim=1), responses, strict=True)
    total = first[0] * first[1]
    for values, response in others:
        total = torch.addcmul(total, values, response)
    return total.unflatten(1, (height, width)).permute(0, 3, 1, 2)
