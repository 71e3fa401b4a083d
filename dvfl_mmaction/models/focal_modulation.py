"""Spatio-temporal focal modulation, the operator of Video-FocalNets."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .causal import History, apply_causally, running_mean
from .cpu_depthwise import DepthwiseConv
from .cpu_linear import (
    Linear,
    PointwiseConv,
    linear,
    linear_in_parts,
    runs_eagerly_on_cpu,
)


def aggregate_context(
    context: Tensor,
    gates: Tensor,
    focal_layers: Iterable[nn.Module],
    average: Callable[[Tensor], Tensor],
) -> Tensor:
    """Sum the context of every focal level, weighted by its gate.

    Each level applies a wider window to the previous one. The last term is
    the mean of the widest level over all positions (Video-FocalNets,
    Eqs. 5-8), or in the causal form over the last frames.

    Args:
        context: Projected context, (N, C, *S).
        gates: One map per level, then that of the global level,
            (N, L + 1, *S).
        focal_layers: L layers, each (N, C, *S) -> (N, C, *S).
        average: Mean of the global level, (N, *S, C) to the same shape, or
            to 1 along the axes over which it averages.

    Returns:
        Gated context, (N, C, *S).
    """
    # Sum with channels as the last axis: autograd lays out the gradient of a
    # mean or a broadcast in the order of the axes. Another order would force
    # strided access through the whole backward pass.
    *level_gates, global_gate = gates.movedim(1, -1).split(1, dim=-1)
    total = None
    for gate, focal_layer in zip(level_gates, focal_layers, strict=True):
        context = focal_layer(context)
        if total is None:
            total = gate * context.movedim(1, -1)
        else:
            total = torch.addcmul(total, gate, context.movedim(1, -1))
    overall = average(context.movedim(1, -1))
    total = torch.addcmul(total, global_gate, F.gelu(overall))
    # A negative source is an invalid Transpose in the traced ONNX export.
    return total.movedim(total.ndim - 1, 1)


mean_in_space = partial(torch.mean, dim=(1, 2), keepdim=True)
mean_along_time = partial(torch.mean, dim=1, keepdim=True)


class TemporalConv(nn.Conv1d):
    """Convolution along time, dense over channels; the length stays.

    With ``padded=False`` the output is k - 1 frames shorter.

    The weight has the shape of ``Conv1d``'s, (C_out, C_in, k), as in the
    released checkpoints. It is applied to (B, C_in, T, P) as a (k, 1)
    kernel, which avoids folding the P positions into the batch.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, bias=True, padded=True
    ):
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2 if padded else 0,
            bias=bias,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, T, P) -> (B, C_out, T, P)."""
        if self.kernel_size == (1,) and runs_eagerly_on_cpu(x):
            x = x.permute(0, 2, 3, 1)  # (B, C_in, T, P) -> (B, T, P, C_in)
            x = linear(x, self.weight[..., 0], self.bias)
            return x.permute(0, 3, 1, 2)
        return F.conv2d(
            x, self.weight[..., None], self.bias, padding=(*self.padding, 0)
        )


class FocalModulation(nn.Module):
    """Modulate each position by its context in space and along time.

    y = proj(q * m_s * m_t): the query q and the modulator of space m_s come
    from one linear map of the input (``f``), the modulator of time m_t from
    another (``f_temporal``) (Video-FocalNets, https://arxiv.org/abs/2307.06947,
    Eq. 9). Focal level l (0-based) has kernel size
    ``focal_window + focal_factor * l``: depthwise over H x W, and **dense**
    over channels along T. The paper calls the latter pointwise; the released
    weights are dense, and so is this module.

    Args:
        channels: C.
        focal_level: L, the number of levels besides the global one, >= 1.
        focal_window: Kernel size of the first level, odd.
        focal_factor: Growth of the kernel size from level to level, even.
        temporal_window: None averages over all frames along time. A number
            is the causal form: a frame sees previous frames only, and the
            global level averages over that many of them, itself included.
    """

    def __init__(
        self,
        channels: int,
        focal_level: int = 2,
        focal_window: int = 3,
        focal_factor: int = 2,
        temporal_window: int | None = None,
    ):
        super().__init__()
        self.channels = channels
        self.focal_level = focal_level
        self.temporal_window = temporal_window
        kernel_sizes = [
            focal_window + focal_factor * level for level in range(focal_level)
        ]
        self.f = Linear(channels, 2 * channels + focal_level + 1)
        self.h = PointwiseConv(channels, channels)
        self.focal_layers = nn.ModuleList(
            nn.Sequential(DepthwiseConv(channels, k), nn.GELU())
            for k in kernel_sizes
        )
        self.f_temporal = Linear(channels, channels + focal_level + 1)
        self.h_temporal = TemporalConv(channels, channels, 1)
        self.focal_layers_temporal = nn.ModuleList(
            nn.Sequential(
                TemporalConv(
                    channels,
                    channels,
                    k,
                    bias=False,
                    padded=temporal_window is None,
                ),
                nn.GELU(),
            )
            for k in kernel_sizes
        )
        self.proj = Linear(channels, channels)

    def forward(
        self, x: Tensor, num_frames: int, history: History | None = None
    ) -> Tensor:
        """Modulate ``B`` clips of ``T = num_frames`` feature maps.

        Args:
            x: (B*T, H, W, C).
            num_frames: T.
            history: Previous frames of a stream, in the causal form.

        Returns:
            (B*T, H, W, C).
        """
        # Time first: its maps are freed before those of space are made.
        modulator = self.modulate_time(x, num_frames, history)
        y = self.modulate_space(x) * modulator
        return self.proj(y.permute(0, 2, 3, 1))  # (B*T, C, H, W) -> last

    def modulate_space(self, x: Tensor) -> Tensor:
        """(B*T, H, W, C) -> modulated query, (B*T, C, H, W)."""
        c = self.channels
        query, context, gates = linear_in_parts(
            self.f, x, (c, c, self.focal_level + 1)
        )
        modulator = self.h(
            aggregate_context(
                context().permute(0, 3, 1, 2),  # channels-last in memory
                gates().permute(0, 3, 1, 2),
                self.focal_layers,
                mean_in_space,
            )
        )
        return query().permute(0, 3, 1, 2) * modulator

    def modulate_time(
        self, x: Tensor, num_frames: int, history: History | None = None
    ) -> Tensor:
        """(B*T, H, W, C) -> modulator, (B*T, C, H, W)."""
        height, width = x.shape[1:3]
        focal_layers, average = self.focal_layers_temporal, mean_along_time
        if self.temporal_window is not None:
            focal_layers = [
                partial(apply_causally, layer, history=history)
                for layer in focal_layers
            ]
            average = partial(
                running_mean, window=self.temporal_window, history=history
            )
        # (B*T, H, W, C) -> (B, T, H*W, C)
        x = x.flatten(1, 2).unflatten(0, (-1, num_frames))
        context, gates = linear_in_parts(
            self.f_temporal, x, (self.channels, self.focal_level + 1)
        )
        x = self.h_temporal(
            aggregate_context(
                context().permute(0, 3, 1, 2),  # (B, C, T, H*W)
                gates().permute(0, 3, 1, 2),
                focal_layers,
                average,
            )
        )
        # (B, C, T, H*W) -> (B*T, C, H, W)
        return x.transpose(1, 2).flatten(0, 1).unflatten(-1, (height, width))

    def history_lengths(self) -> list[int]:
        """Frames that a :class:`History` has of each causal layer."""
        kernels = [
            layer[0].kernel_size[0] for layer in self.focal_layers_temporal
        ]
        lengths = [*kernels, self.temporal_window]
        return [length - 1 for length in lengths if length > 1]
