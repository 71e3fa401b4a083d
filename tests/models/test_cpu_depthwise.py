"""The sum over positions computes the same as the convolution."""

import pytest
import torch
from torch import nn

from dvfl_mmaction.models.cpu_depthwise import DepthwiseConv

SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 3), (1, 4)]
TINY = [(k, size) for k in (3, 5, 7) for size in SIZES if max(size) < k]


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
@pytest.mark.parametrize('kernel_size, size', TINY)
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


def test_other_types_are_convolved():
    layer, x = DepthwiseConv(6, 5), draw_clips(2, (2, 2))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert is_a_convolution(layer(x))
    assert is_a_convolution(layer.double()(x.double()))


def test_the_default_type_of_the_process_does_not_matter():
    layer, x = DepthwiseConv(6, 5), draw_clips(2, (2, 2))
    expected = layer(x)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(layer(x), expected)
    finally:
        torch.set_default_dtype(torch.float32)


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
