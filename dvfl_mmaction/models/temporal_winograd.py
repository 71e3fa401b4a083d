"""Convolution along time with fewer products (Winograd, Toom-Cook).

A convolution of k taps that gives m outputs costs m * k products; the same
numbers come from m + k - 1 products of transformed inputs and transformed
taps (Lavin and Gray, https://arxiv.org/abs/1509.09308). Here m = 4, so 3
taps cost 6 products instead of 12, and 5 taps 8 instead of 20. Each product
is a dense (C_in -> C_out) map of every position, which is what the temporal
layers of focal modulation spend their time on.
"""

from functools import lru_cache

import torch
from torch import Tensor

from .cpu_linear import apply_in_parts, linear

ROWS = 512  # positions that are transformed together
TILE = 4  # outputs a tile; 8 would cost up to 30 times the rounding error

# Where the polynomials are evaluated, beside infinity: of the sets of simple
# fractions, those with the least rounding error in float32.
POINTS = {
    3: (0, 1 / 2, -3 / 2, -3 / 4, 5 / 4),
    5: (0, 1, -1, 2, -2, 1 / 2, -1 / 2),
}


def saves_products(kernel_size: int, num_frames: int) -> bool:
    """Whether the tiles cost less than the taps inside the clip."""
    half = kernel_size // 2
    direct = sum(
        min(frame, half) + 1 + min(num_frames - 1 - frame, half)
        for frame in range(num_frames)
    )
    tiles = -(-num_frames // TILE)
    return kernel_size in POINTS and tiles * (TILE + kernel_size - 1) < direct


@lru_cache
def transforms(
    kernel_size: int, num_frames: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices that take a clip and taps to products, and products back.

    Zeros beyond the ends of the clip, and frames of the last tile beyond
    its end, are left out of the matrices.

    Returns:
        Of the input, (N * tiles, T); of the taps, (N, k); of the output,
        (T, N * tiles), with N = 4 + k - 1 products a tile.
    """
    size = TILE + kernel_size - 1
    points = torch.tensor(POINTS[kernel_size], dtype=torch.float64)

    def evaluate(count):
        """Values of the monomials of degree < count, infinity last."""
        powers = points[:, None] ** torch.arange(count)
        infinity = torch.eye(count, dtype=torch.float64)[-1:]
        return torch.cat([powers, infinity])

    of_output = evaluate(TILE)  # (N, 4)
    of_taps = evaluate(kernel_size)  # (N, k)
    of_input = evaluate(size).inverse().T  # (N, N)
    # Products may be scaled at will: powers of two keep the rounding even.
    for matrix in (of_output, of_input):
        scale = 2.0 ** matrix.norm(dim=1, keepdim=True).log2().round()
        matrix /= scale
        of_taps *= scale

    tiles = -(-num_frames // TILE)
    first = torch.zeros(size, tiles, num_frames, dtype=torch.float64)
    last = torch.zeros(num_frames, size, tiles, dtype=torch.float64)
    for tile in range(tiles):
        for i in range(size):
            frame = tile * TILE + i - kernel_size // 2
            if 0 <= frame < num_frames:
                first[:, tile, frame] = of_input[:, i]
        for i in range(min(TILE, num_frames - tile * TILE)):
            last[tile * TILE + i, :, tile] = of_output[:, i]
    first, last = first.flatten(0, 1), last.flatten(1, 2)
    return first.to(dtype), of_taps.to(dtype), last.to(dtype)


def winograd_conv(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve along time, zeros beyond both ends.

    Args:
        x: (T, ..., C_in), time first.
        weight: (C_out, C_in, k), k in ``POINTS``.

    Returns:
        (T, ..., C_out).
    """
    of_input, of_taps, of_output = transforms(weight.shape[2], len(x), x.dtype)
    taps = of_taps @ weight.flatten(0, 1).T  # (N, C_out * C_in)
    taps = taps.unflatten(1, weight.shape[:2])

    def convolve(x):
        """(T, R, C_in) -> (T, R, C_out)."""
        # (T, R * C_in) -> (N * tiles, R * C_in) -> (N, tiles, R, C_in)
        inputs = of_input @ x.flatten(1)
        inputs = inputs.view(len(taps), -1, *x.shape[1:])
        products = torch.stack(
            [linear(*pair) for pair in zip(inputs, taps, strict=True)]
        )
        y = of_output @ products.view(of_output.shape[1], -1)
        return y.view(*x.shape[:2], -1)

    y = apply_in_parts(convolve, x.flatten(1, -2), ROWS)
    return y.view(*x.shape[:-1], -1)
