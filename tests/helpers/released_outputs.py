"""Inputs and stored outputs of the released code; weights from fixed seeds."""

import math
import zlib
from pathlib import Path

import torch

DATA = Path(__file__).parents[1] / 'data' / 'parity'
NAMES = sorted(path.stem for path in DATA.glob('*.npz'))


def draw_weights(keys):
    """Draw each tensor with the CRC-32 of its name as the seed."""
    weights = {}
    for name, shape in keys.items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        values = torch.randn(
            tuple(shape), generator=generator, dtype=torch.float64
        )
        if name.endswith('bias'):
            values = 0.1 * values
        elif len(shape) == 1:
            values = 1 + 0.1 * values
        else:
            values = values / math.sqrt(math.prod(shape[1:]))
        weights[name] = values
    return weights


def draw_clips(meta):
    """Clips (B, 3, T, H, W), drawn in the released layout, (B, T, 3, H, W)."""
    shape = (meta['batch'], meta['frames'], 3, meta['height'], meta['width'])
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(shape, generator=generator, dtype=torch.float64)
    return clips.transpose(1, 2)
