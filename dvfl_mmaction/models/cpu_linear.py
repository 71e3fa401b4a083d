"""A linear map over channels, on the faster of PyTorch's CPU libraries.

A float32 ``F.linear`` goes to MKL, which uses AVX-512 on Intel's processors
only; a convolution goes to oneDNN, which uses it wherever there is any. Over
channels-last memory a 1x1 convolution is the same map.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Whether ``x`` meets the CPU's float32 kernels call by call.

    Not under autocast, and not while a graph is taken: compilers fuse the
    plain form by themselves, exporters write it and counters count it. Not
    with gradients either on a processor without AVX-512, where oneDNN's are
    slower than MKL's: 0.9 against 1.0 of the released network's speed.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if torch.is_grad_enabled() and not has_avx512():
        return False
    return (
        x.device.type == 'cpu'
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled('cpu')
    )


def has_avx512() -> bool:
    """Whether PyTorch uses AVX-512 here."""
    return torch.backends.cpu.get_cpu_capability().startswith('AVX512')


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``, (..., C_in) -> (..., C_out), contiguous on a CPU."""
    if not runs_eagerly_on_cpu(x) or x.numel() == 0:
        return F.linear(x, weight, bias)
    # (..., C_in) -> (N, C_in, R, 1), channels last in memory; a few images
    # rather than one, since a gradient sums over them faster.
    images = math.gcd(x.shape[:-1].numel(), 8)
    image = x.reshape(images, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    # Dilation changes nothing for a single tap, but without it PyTorch keeps
    # a small batch of one thread from oneDNN.
    y = F.conv2d(image, weight[..., None, None], bias, dilation=2)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def apply_in_parts(
    function: Callable[[Tensor], Tensor], x: Tensor, size: int
) -> Tensor:
    """``function`` of a few rows at a time, joined again.

    Pieces that stay in the processor's cache, and below the 32 MiB from
    which the C library takes every allocation afresh from the system.

    Args:
        function: (r, C) -> (r, C), each row by itself.
        x: (R, C).
        size: Rows a piece.

    Returns:
        (R, C).
    """
    parts = x.split(size)
    if len(parts) == 1:
        return function(x)
    if torch.is_grad_enabled():
        return torch.cat([function(part) for part in parts])
    y = torch.empty_like(x)
    for x_part, y_part in zip(parts, y.split(size), strict=True):
        y_part.copy_(function(x_part))
    return y


class Linear(nn.Linear):
    """``nn.Linear`` through :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C_in) -> (..., C_out)."""
        return linear(x, self.weight, self.bias)


def linear_in_parts(
    layer: nn.Module, x: Tensor, sizes: Sequence[int]
) -> list[Callable[[], Tensor]]:
    """A linear layer's output, cut into parts of ``sizes`` channels.

    Returns:
        A function for each part. On a CPU it computes when it is called: no
        sooner in memory than wanted, and contiguous, so that what reads it
        need not copy it.
    """
    if (
        not runs_eagerly_on_cpu(x)
        or type(layer) is not Linear
        or has_hooks(layer)
    ):
        parts = layer(x).split(sizes, -1)
        return [lambda part=part: part for part in parts]
    weights, biases = layer.weight.split(sizes), layer.bias.split(sizes)
    return [
        partial(linear, x, weight, bias)
        for weight, bias in zip(weights, biases, strict=True)
    ]


class PointwiseConv(nn.Conv2d):
    """1x1 convolution through :func:`linear`, bias included."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H, W)."""
        if not runs_eagerly_on_cpu(x):
            return super().forward(x)
        x = x.permute(0, 2, 3, 1)
        return linear(x, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def has_hooks(module: nn.Module) -> bool:
    """Whether someone listens to the module's calls."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
