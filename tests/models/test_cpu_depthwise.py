"""The sum over positions computes the same as the convolution."""

import pytest
import torch
from torch import nn

from dvfl_mmaction.models.cpu_depthwise import DepthwiseConv

TINY = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 3), (1, 4)]


def draw_clips(num, size, channels_last=True):
    generator = torch.Generator().manual_seed(num)
    x = torch.randn(num, 6, *size, generator=generator)
    if channels_last:
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    return x.requires_grad_()


def is_a_convolution(y):
    return 'Convolution' in y.grad_fn.name()


@pytest.mark.parametrize('channels_last', [True, False])
@pytest.mark.parametrize('num', [0, 1, 5])
@pytest.mark.parametrize('size', TINY)
@pytest.mark.parametrize('kernel_size', [5, 7])
def test_values_and_gradients_are_those_of_the_convolution(
    kernel_size, size, num, channels_last
):
    layer = DepthwiseConv(6, kernel_size)
    x = draw_clips(num, size, channels_last)
    found, expected = layer(x), nn.Conv2d.forward(layer, x)
    assert not is_a_convolution(found) and is_a_convolution(expected)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    output_grad = torch.randn_like(expected)
    inputs = (x, layer.weight)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, output_grad),
        torch.autograd.grad(expected, inputs, output_grad),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    'kernel_size, size', [(3, (3, 3)), (5, (4, 4)), (5, (1, 5)), (5, (7, 7))]
)
def test_larger_maps_are_convolved(kernel_size, size):
    layer = DepthwiseConv(6, kernel_size)
    assert is_a_convolution(layer(draw_clips(2, size)))


def test_float64_is_convolved():
    layer = DepthwiseConv(6, 5).double()
    assert is_a_convolution(layer(draw_clips(2, (2, 2)).double()))


def test_a_traced_graph_has_the_convolution():
    layer = DepthwiseConv(6, 5)
    traced = torch.jit.trace(layer, draw_clips(2, (2, 2)))
    assert '_convolution' in str(traced.inlined_graph)


def test_a_compiled_graph_has_the_convolution():
    names = []

    def backend(graph, _):
        names.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    layer, x = DepthwiseConv(6, 5), draw_clips(2, (2, 2))
    found = torch.compile(layer, backend=backend)(x)
    torch.testing.assert_close(found, layer(x), rtol=1e-5, atol=1e-5)
    assert any('conv2d' in name for name in names)
