"""The operator against the paper's formula, and its memory layout."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dvfl_mmaction.models.focal_modulation import (
    FocalModulation,
    TemporalConv,
    aggregate_context,
    mean_along_time,
)


def test_context_is_the_gated_sum_of_levels_and_their_mean():
    context = torch.tensor([[[1.0, 2.0, 3.0]]])  # (1, 1, 3)
    gates = torch.tensor(
        [[[1.0, 1.0, 1.0], [0.0, 10.0, 0.0], [0.5, 0.5, 2.0]]]
    )

    class Add(nn.Module):
        def forward(self, x):
            return x + 1

    levels = [Add(), Add()]
    out = aggregate_context(context, gates, levels, mean_along_time)
    # levels: 2 3 4 and 3 4 5; global: gelu(4)
    overall = F.gelu(torch.tensor(4.0)).item()
    expected = [2 + 0.5 * overall, 3 + 40 + 0.5 * overall, 4 + 2 * overall]
    torch.testing.assert_close(out, torch.tensor([[expected]]))


def test_temporal_conv_is_a_conv1d_over_each_position():
    conv = TemporalConv(4, 6, 5)
    x = torch.randn(2, 4, 7, 9)
    expected = torch.stack(
        [nn.Conv1d.forward(conv, x[..., p]) for p in range(9)], dim=-1
    )
    torch.testing.assert_close(conv(x), expected)


def by_hand(m, x, frames):
    """The operator by the paper's formula, position by position."""
    c, levels = m.channels, m.focal_level
    q, z, g = m.f(x).permute(0, 3, 1, 2).split((c, c, levels + 1), 1)
    total = 0
    for i, layer in enumerate(m.focal_layers):
        z = F.gelu(layer[0](z))
        total = total + z * g[:, i : i + 1]
    total = total + F.gelu(z.mean((2, 3), keepdim=True)) * g[:, levels:]
    space = F.conv2d(total, m.h.weight, m.h.bias)
    time = torch.empty_like(space)
    for b in range(x.shape[0] // frames):
        clip = slice(b * frames, (b + 1) * frames)
        for row in range(x.shape[1]):
            for col in range(x.shape[2]):
                zt = m.f_temporal(x[clip, row, col]).T[None]
                zt, gt = zt.split((c, levels + 1), 1)
                total = 0
                for i, layer in enumerate(m.focal_layers_temporal):
                    w = layer[0].weight
                    zt = F.gelu(F.conv1d(zt, w, padding=w.shape[-1] // 2))
                    total = total + zt * gt[:, i : i + 1]
                overall = F.gelu(zt.mean(2, keepdim=True))
                total = total + overall * gt[:, levels:]
                total = F.conv1d(total, m.h_temporal.weight, m.h_temporal.bias)
                time[clip, :, row, col] = total[0].T
    y = (q * space * time).permute(0, 2, 3, 1)
    return F.linear(y, m.proj.weight, m.proj.bias)


@pytest.mark.parametrize('levels, window', [(1, 3), (2, 3), (3, 5)])
def test_modulation_is_the_papers_formula(levels, window):
    m = FocalModulation(8, levels, window).double()
    x = torch.randn(2 * 5, 4, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(m(x, 5), by_hand(m, x, 5))


def test_clips_of_a_batch_do_not_mix():
    m = FocalModulation(8)
    x = torch.randn(2 * 4, 5, 5, 8)
    both = m(x, 4)
    torch.testing.assert_close(both[4:], m(x[4:], 4))


def test_no_tensor_stays_on_the_module():
    m = FocalModulation(8)
    before = set(vars(m))
    m(torch.randn(4, 5, 5, 8), 4).sum().backward()
    assert set(vars(m)) == before
    assert not [k for k, v in vars(m).items() if isinstance(v, torch.Tensor)]


def test_gradients_of_every_level_stay_channels_last():
    modulation = FocalModulation(8)
    layouts = []

    def note(gradient):
        last = gradient.is_contiguous(memory_format=torch.channels_last)
        layouts.append(last)

    levels = [*modulation.focal_layers, *modulation.focal_layers_temporal]
    for level in levels:
        level.register_forward_hook(
            lambda m, i, y: y.register_hook(note) and None
        )
    # No axis of length 1, so that the layout is unambiguous.
    x = torch.randn(6, 5, 4, 8)
    modulation(x, num_frames=3).square().sum().backward()
    assert layouts == [True] * 4
