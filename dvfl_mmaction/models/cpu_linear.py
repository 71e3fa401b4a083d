"""A linear map over channels, with the faster of PyTorch's CPU libraries.

A float32 ``F.linear`` runs in MKL, which uses AVX-512 on Intel processors
only. A convolution runs in oneDNN, which uses AVX-512 on any processor that
has it. On channels-last memory a 1x1 convolution is the same map.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def is_eager_on_cpu(x: Tensor) -> bool:
    """Whether operations on ``x`` run eagerly in the CPU's float32 kernels.

    False under autocast and while a graph is captured: compilers fuse the
    plain form themselves, exporters and counters expect it.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and x.device.type == 'cpu'
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled('cpu')
    )


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Whether linear maps of ``x`` are faster in oneDNN than in MKL.

    As :func:`is_eager_on_cpu`, but with gradients only on a processor with
    AVX-512. Without it oneDNN is slower than MKL: 0.9 against 1.0 times the
    speed of the released network.
    """
    return is_eager_on_cpu(x) and (not torch.is_grad_enabled() or has_avx512())


def has_avx512() -> bool:
    """Whether PyTorch uses AVX-512 on this processor."""
    return torch.backends.cpu.get_cpu_capability().startswith('AVX512')


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear``, (..., C_in) -> (..., C_out); contiguous on a CPU."""
    fast = runs_eagerly_on_cpu(x) and is_plain(weight)
    if not fast or x.numel() == 0:
        return F.linear(x, weight, bias)
    # (..., C_in) -> (N, C_in, R, 1), channels last in memory. With several
    # images instead of one, gradients are summed faster.
    images = math.gcd(x.shape[:-1].numel(), 8)
    image = x.reshape(images, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    # Dilation has no effect on a 1x1 kernel, but without it PyTorch does not
    # use oneDNN for a small batch on one thread.
    y = F.conv2d(image, weight[..., None, None], bias, dilation=2)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def apply_in_parts(
    function: Callable[[Tensor], Tensor], x: Tensor, size: int
) -> Tensor:
    """Apply ``function`` to a few rows at a time, and join the results.

    Small parts stay in the processor's cache, and below 32 MiB, from which
    the C library requests every allocation anew from the system.

    Args:
        function: (r, C) -> (r, C), independent for each row.
        x: (R, C).
        size: Rows per part.

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
    """Split a linear layer's output into parts of ``sizes`` channels.

    Returns:
        One function per part. On a CPU the part is computed when the
        function is called, which saves memory, and is contiguous, which
        saves copies.
    """
    if (
        not runs_eagerly_on_cpu(x)
        or type(layer) is not Linear
        or not is_plain(layer.weight)
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


def is_plain(weight: Tensor) -> bool:
    """Whether a weight is no tensor subclass.

    Quantised weights, such as torchao's, are subclasses that implement
    ``F.linear`` only: they can be neither split nor reshaped.
    """
    return type(weight) in (Tensor, nn.Parameter)


def has_hooks(module: nn.Module) -> bool:
    """Whether the module has forward or backward hooks."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
