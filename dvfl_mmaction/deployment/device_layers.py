"""Layers of the device graph, made from the trained ones.

Maps are channels last, (N, H, W, C), wherever no convolution runs. Weights
are folded in float64 and stored in the dtype of the trained ones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.focal_modulation import FocalModulation
from ..models.video_focalnet import PatchEmbed, VideoFocalNetBlock


def make_linear(weight: Tensor, bias: Tensor | None, like: Tensor):
    """``nn.Linear`` of weights (C_out, C_in), in the dtype of ``like``."""
    layer = nn.Linear(*weight.shape[::-1], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().to(like.dtype), False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().to(like.dtype), False)
    return layer


def fold_affine(
    norm: nn.LayerNorm, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold a LayerNorm's affine map into the linear map that follows.

    Args:
        norm: The LayerNorm, over C_in channels.
        weight: Of the linear map, (C_out, C_in).
        bias: (C_out,).

    Returns:
        Weight and bias, in float64, for the input of the affine map.
    """
    weight, bias = weight.double(), bias.double()
    return (
        weight * norm.weight.double(),
        bias + weight @ norm.bias.double(),
    )


def without_affine(norm: nn.LayerNorm) -> nn.LayerNorm:
    """The normalisation alone."""
    return nn.LayerNorm(
        norm.normalized_shape, norm.eps, elementwise_affine=False
    )


class Stem(nn.Module):
    """Patch embedding of raw frames; the normalisation is in its weights.

    The patches do not overlap and are not padded, so the fold is exact. A
    tubelet's frames are convolved separately and summed, which avoids maps
    of five axes.

    Args:
        patch_embed: The trained stem.
        mean: Of the preprocessor, per channel or one for all; None without
            one.
        std: The same.
        reverse: Whether the preprocessor reverses the channels first.
    """

    def __init__(
        self,
        patch_embed: PatchEmbed,
        mean: Tensor | None = None,
        std: Tensor | None = None,
        reverse: bool = False,
    ):
        super().__init__()
        proj = patch_embed.proj
        weight, bias = proj.weight.double(), proj.bias.double()
        if weight.dim() == 4:
            weight = weight.unsqueeze(2)  # (C, 3, H, W) -> (C, 3, 1, H, W)
        if mean is not None:
            mean, std = (v.double().view(1, -1, 1, 1, 1) for v in (mean, std))
            weight = weight / std
            bias = bias - (weight * mean).sum((1, 2, 3, 4))
        if reverse:
            weight = weight.flip(1)
        self.stride = weight.shape[-1]
        self.weights = nn.ParameterList(
            nn.Parameter(w.detach().to(proj.weight.dtype), False)
            for w in weight.unbind(2)
        )
        self.bias = nn.Parameter(bias.detach().to(proj.bias.dtype), False)
        self.norm = patch_embed.norm

    def forward(self, frames: Tensor) -> Tensor:
        """(B*T', t*H, W, 3), t frames of a tubelet -> (B*T', H', W', C)."""
        x = frames.to(self.bias.dtype).permute(0, 3, 1, 2)
        height = x.shape[2] // len(self.weights)
        total, bias = None, self.bias
        for i, weight in enumerate(self.weights):
            part = x
            if len(self.weights) > 1:
                part = x[:, :, i * height : (i + 1) * height]
            y = F.conv2d(part, weight, bias, stride=self.stride)
            total, bias = (y if total is None else total + y), None
        return self.norm(total.permute(0, 2, 3, 1))


class Downsample(nn.Module):
    """Patch embedding between stages."""

    def __init__(self, patch_embed: PatchEmbed):
        super().__init__()
        self.proj, self.norm = patch_embed.proj, patch_embed.norm

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H/2, W/2, 2*C)."""
        x = self.proj(x.permute(0, 3, 1, 2))
        return self.norm(x.permute(0, 2, 3, 1))


class SpaceContext(nn.Module):
    """Modulator of space; the gates are computed by the block."""

    def __init__(
        self, modulation: FocalModulation, weight: Tensor, bias: Tensor
    ):
        super().__init__()
        like = modulation.h.weight
        self.context = make_linear(weight, bias, like)
        self.convs = nn.ModuleList(
            layer[0] for layer in modulation.focal_layers
        )
        self.h = make_linear(like.flatten(1), modulation.h.bias, like)

    def forward(self, x: Tensor, gates: list[Tensor]) -> Tensor:
        """Normed map (N, H, W, C), L + 1 gates (N, H, W, 1) -> modulator."""
        context = self.context(x)
        total = None
        for conv, gate in zip(self.convs, gates, strict=False):
            context = conv(context.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            context = F.gelu(context)
            term = gate * context
            total = term if total is None else total + term
        overall = F.gelu(context.mean((1, 2), keepdim=True))
        return self.h(total + gates[-1] * overall)


class Block(nn.Module):
    """Modulation and MLP of one block.

    Query, contexts and gates have weights of their own, so that no output
    is split; the gates of space and time are one small linear map. The
    affine maps of both norms are in the weights that follow.

    Args:
        block: The trained block.
        make_time: Makes the part along time from the modulation, and the
            weight (C, C) and bias (C,) of its projection in float64.
    """

    def __init__(self, block: VideoFocalNetBlock, make_time):
        super().__init__()
        modulation = block.modulation
        c, like = modulation.channels, modulation.f.weight
        self.levels = modulation.focal_level
        self.norm1 = without_affine(block.norm1)
        space = fold_affine(
            block.norm1, modulation.f.weight, modulation.f.bias
        )
        time = fold_affine(
            block.norm1,
            modulation.f_temporal.weight,
            modulation.f_temporal.bias,
        )
        self.query = make_linear(*(part[:c] for part in space), like)
        self.space = SpaceContext(
            modulation, *(part[c : 2 * c] for part in space)
        )
        self.time = make_time(modulation, *(part[:c] for part in time))
        self.gates = make_linear(
            *(
                torch.cat([a[2 * c :], b[c:]])
                for a, b in zip(space, time, strict=True)
            ),
            like,
        )
        self.proj = make_linear(
            modulation.proj.weight, modulation.proj.bias, like
        )
        self.norm2 = without_affine(block.norm2)
        fc1, fc2 = block.mlp.fc1, block.mlp.fc2
        self.fc1 = make_linear(
            *fold_affine(block.norm2, fc1.weight, fc1.bias), like
        )
        self.fc2 = make_linear(fc2.weight, fc2.bias, like)

    def forward(self, x: Tensor, *time_args) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C); the rest goes to the time part."""
        y = self.norm1(x)
        gates = self.gates(y)
        gates = [gates[..., i : i + 1] for i in range(gates.shape[-1])]
        half = self.levels + 1
        modulator = self.time(y, gates[half:], *time_args)
        y = self.query(y) * self.space(y, gates[:half]) * modulator
        x = x + self.proj(y)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
