"""The part along time of the device graph's blocks.

``f_temporal``, the projection before the first temporal convolution, is a
linear map, and so is the convolution: their product has the size of the
convolution alone. A padded frame is a zero after the projection, so it does
not get the projection's bias; the bias of the product depends on the frame.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.causal import running_mean
from ..models.focal_modulation import FocalModulation, mean_along_time
from .device_layers import make_linear


class ClipTime(nn.Module):
    """Modulator of time, for whole clips.

    Args:
        modulation: The trained one, in the global or the causal form.
        weight: Of the projection, (C, C) float64.
        bias: (C,) float64.
        num_frames: T; the projection is folded into the first convolution.
            None keeps them apart, for clips of any length.
    """

    def __init__(
        self,
        modulation: FocalModulation,
        weight: Tensor,
        bias: Tensor,
        num_frames: int | None = None,
    ):
        super().__init__()
        window = modulation.temporal_window
        self.average = mean_along_time
        if window is not None:
            self.average = partial(running_mean, window=window)
        like = modulation.h_temporal.weight
        self.h = make_linear(like[..., 0], modulation.h_temporal.bias, like)
        kernels = [
            layer[0].weight.double()
            for layer in modulation.focal_layers_temporal
        ]
        # Frames of zeros before and after the clip, per level.
        self.pads = [
            (k - 1, 0) if window is not None else (k // 2, k // 2)
            for k in (kernel.shape[-1] for kernel in kernels)
        ]
        self.projection, self.bias = None, None
        if num_frames is None:
            self.projection = make_linear(weight, bias, like)
        else:
            table = bias.view(1, -1, 1).expand(-1, -1, num_frames)
            table = F.conv1d(F.pad(table, self.pads[0]), kernels[0])
            table = table.mT[:, :, None]  # (1, C, T) -> (1, T, 1, C)
            self.bias = nn.Parameter(
                table.detach().to(like.dtype).contiguous(), False
            )
            kernels[0] = torch.einsum('omk,mi->oik', kernels[0], weight)
        self.kernels = nn.ParameterList(
            nn.Parameter(kernel[..., None].detach().to(like.dtype), False)
            for kernel in kernels
        )

    def forward(
        self, x: Tensor, gates: list[Tensor], batch: int, num_frames: int
    ) -> Tensor:
        """Normed map (B*T, H, W, C), L + 1 gates (B*T, H, W, 1), B, T."""
        _, height, width, channels = x.shape
        positions = height * width
        if self.projection is not None:
            x = self.projection(x)
        x = x.reshape(batch, num_frames, positions, channels)
        gates = [g.reshape(batch, num_frames, positions, 1) for g in gates]
        total, bias = None, self.bias
        for kernel, pad, gate in zip(
            self.kernels, self.pads, gates, strict=False
        ):
            x = self.convolve(x, kernel, pad)
            if bias is not None:
                x, bias = x + bias, None
            x = F.gelu(x)
            term = gate * x
            total = term if total is None else total + term
        total = total + gates[-1] * F.gelu(self.average(x))
        return self.h(
            total.reshape(batch * num_frames, height, width, channels)
        )

    def convolve(self, x: Tensor, kernel: Tensor, pad: tuple) -> Tensor:
        """(B, T, P, C) -> (B, T, P, C)."""
        before, after = pad
        x = x.permute(0, 3, 1, 2)
        if before != after:
            x, after = F.pad(x, (0, 0, before, after)), 0
        return F.conv2d(x, kernel, padding=(after, 0)).permute(0, 2, 3, 1)


class StreamTime(nn.Module):
    """Modulator of time, frame by frame.

    The state has sums, not frames: for each of the k - 1 frames to come,
    what previous frames add to its convolution, and for each of the next
    window - 1 frames what they add to its mean. No frame is moved, and the
    first frames of a stream need no special bias: a tap carries its own.

    Args:
        modulation: The trained one, in the causal form.
        weight: Of the projection, (C, C) float64.
        bias: (C,) float64.
    """

    def __init__(
        self, modulation: FocalModulation, weight: Tensor, bias: Tensor
    ):
        super().__init__()
        like = modulation.h_temporal.weight
        self.h = make_linear(like[..., 0], modulation.h_temporal.bias, like)
        self.window = modulation.temporal_window
        self.taps = nn.ModuleList()
        for level, layer in enumerate(modulation.focal_layers_temporal):
            # The tap of the newest frame first.
            taps = layer[0].weight.double().flip(-1).unbind(-1)
            self.taps.append(
                nn.ModuleList(
                    make_linear(tap, None, like)
                    if level
                    else make_linear(tap @ weight, tap @ bias, like)
                    for tap in taps
                )
            )

    def state_size(self) -> int:
        """Number of maps (B, H, W, C) in the state."""
        return sum(len(taps) - 1 for taps in self.taps) + self.window - 1

    def forward(
        self, x: Tensor, gates: list[Tensor], count: Tensor, past, kept: list
    ) -> Tensor:
        """Modulator of a frame.

        Args:
            x: Normed map, (B, H, W, C).
            gates: L + 1 of (B, H, W, 1).
            count: Frames in the mean, this one included, (B, 1, 1, 1).
            past: Iterator over the maps of the state.
            kept: Takes the maps of the next state, in the same order.

        Returns:
            (B, H, W, C).
        """
        total = None
        for taps, gate in zip(self.taps, gates, strict=False):
            sums = [next(past) for _ in taps[1:]]
            terms = [tap(x) for tap in taps]
            x = F.gelu(shift_sums(sums, terms, kept))
            term = gate * x
            total = term if total is None else total + term
        sums = [next(past) for _ in range(self.window - 1)]
        mean = shift_sums(sums, [x] * self.window, kept) / count
        return self.h(total + gates[-1] * F.gelu(mean))


def shift_sums(
    sums: list[Tensor], terms: list[Tensor], kept: list[Tensor]
) -> Tensor:
    """Add a frame's terms to the sums of this frame and those to come.

    Args:
        sums: What previous frames add to this frame and the following ones.
        terms: What this frame adds to itself and the following ones, one
            more than ``sums``.
        kept: Takes the sums of the next frame and those after it.

    Returns:
        The sum of this frame.
    """
    total, *later = [a + b for a, b in zip(sums, terms, strict=False)] + [
        terms[-1]
    ]
    kept += later
    return total
