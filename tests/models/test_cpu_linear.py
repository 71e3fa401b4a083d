"""The fast CPU paths compute the same as the paper's formula."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dvfl_mmaction.analysis.released_formulation import (
    PlainModulation,
    PlainNet,
    as_released,
)
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.models import VideoFocalNet
from dvfl_mmaction.models.cpu_linear import (
    Linear,
    PointwiseConv,
    apply_in_parts,
    linear,
    runs_eagerly_on_cpu,
)
from dvfl_mmaction.models.focal_modulation import FocalModulation

SMALL = dict(embed_dim=16, depths=(1, 2))


def draw(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=generator, dtype=dtype)


def gradients(module, loss):
    """Gradients by parameter name."""
    module.zero_grad()
    loss.backward()
    return {k: p.grad.clone() for k, p in module.named_parameters()}


def assert_close(ours, theirs, tolerance=1e-5):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    'shape', [(7, 6), (2, 3, 5, 6), (0, 6), (16, 1, 1, 6)]
)
def test_linear_equals_torchs(shape):
    x, layer = draw(*shape), Linear(6, 9)
    expected = F.linear(x, layer.weight, layer.bias)
    assert_close(layer(x), expected)
    assert layer(x).is_contiguous()
    strided = draw(6, *shape[:-1]).movedim(0, -1)
    assert_close(layer(strided), nn.Linear.forward(layer, strided))


def test_pointwise_conv_is_a_1x1_convolution():
    layer, x = PointwiseConv(6, 9), draw(2, 6, 5, 7)
    assert_close(layer(x), nn.Conv2d.forward(layer, x))


@pytest.mark.parametrize('grad', [True, False])
def test_joined_parts_equal_the_whole(grad):
    x = draw(11, 3)
    with torch.set_grad_enabled(grad):
        y = apply_in_parts(lambda part: part * 2, x, 4)
    torch.testing.assert_close(y, x * 2)


@pytest.mark.parametrize('frames', [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize('batch', [1, 2, 3])
def test_modulation_equals_the_released_one(batch, frames):
    theirs, ours = PlainModulation(16), FocalModulation(16)
    ours.load_state_dict(theirs.state_dict())
    x = draw(batch * frames, 5, 7, 16)
    with torch.no_grad():
        assert_close(ours(x, frames), theirs(x, frames))
    expected = gradients(theirs, theirs(x, frames).square().sum())
    found = gradients(ours, ours(x, frames).square().sum())
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp(min=1)
        assert_close(found[name] / scale, gradient / scale)


@pytest.mark.parametrize('size', [(32, 32), (37, 51)])
def test_the_network_equals_the_released_one(size):
    theirs = PlainNet(SMALL).eval()
    ours = VideoFocalNet(SMALL, out_indices=(1,)).eval()
    ours.load_state_dict(theirs.state_dict())
    x = draw(2, 3, 8, *size)
    with torch.no_grad():
        assert_close(ours(x), theirs(x))
    assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(
    'kind', ['VideoFocalNet', 'mmaction.VideoFocalNet', VideoFocalNet]
)
def test_the_released_form_of_a_config_has_the_weights(kind):
    ours = VideoFocalNet(SMALL, out_indices=(1,))
    config = dict(type=kind, arch=SMALL, out_indices=(1,))
    theirs = as_released(config, ours).state_dict()
    for name, value in ours.state_dict().items():
        assert torch.equal(theirs[name], value), name
    config['temporal'] = 'causal'
    with pytest.raises(UserError, match='no VideoFocalNet with temporal;'):
        as_released(config, ours)


def test_float64_takes_the_plain_path():
    theirs, ours = PlainModulation(8).double(), FocalModulation(8).double()
    ours.load_state_dict(theirs.state_dict())
    x = draw(8, 5, 5, 8, dtype=torch.float64)
    assert not runs_eagerly_on_cpu(x)
    assert_close(ours(x, 4), theirs(x, 4), 1e-12)


@pytest.mark.parametrize('capability', ['AVX2', 'AVX512', 'DEFAULT'])
def test_gradients_take_the_path_of_the_processor(monkeypatch, capability):
    monkeypatch.setattr(
        torch.backends.cpu, 'get_cpu_capability', lambda: capability
    )
    x = draw(8, 5, 5, 16)
    assert runs_eagerly_on_cpu(x) == (capability == 'AVX512')
    theirs, ours = PlainModulation(16), FocalModulation(16)
    ours.load_state_dict(theirs.state_dict())
    expected = gradients(theirs, theirs(x, 4).square().sum())
    found = gradients(ours, ours(x, 4).square().sum())
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp(min=1)
        assert_close(found[name] / scale, gradient / scale)
    with torch.no_grad():
        assert runs_eagerly_on_cpu(x)


def test_bfloat16_autocast_is_near_float32():
    net = VideoFocalNet(SMALL, out_indices=(1,)).eval()
    x = draw(1, 3, 8, 32, 32)
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        assert not runs_eagerly_on_cpu(x)
        low = net(x)
    with torch.no_grad():
        assert (low - net(x)).abs().max() < 0.1


def test_hooks_get_whole_maps_and_change_nothing():
    m = FocalModulation(16).eval()
    x = draw(8, 5, 7, 16)
    seen = {}
    with torch.no_grad():
        expected = m(x, 8)
        for name, layer in m.named_modules():
            layer.register_forward_hook(
                lambda _, __, y, name=name: seen.update({name: (y, y.clone())})
            )
        assert_close(m(x, 8), expected)
    assert seen['f'][0].shape == (8, 5, 7, 16 * 2 + 3)
    assert seen['h'][0].shape == (8, 16, 5, 7)
    assert {k for k, _ in m.named_modules()} - set(seen) == {
        'focal_layers',
        'focal_layers_temporal',
    }
    for name, (kept, copied) in seen.items():
        assert torch.equal(kept, copied), name  # not overwritten later


def test_weights_changed_in_place_are_used():
    m = FocalModulation(16).eval()
    x = draw(8, 5, 7, 16)
    with torch.no_grad():
        before = m(x, 8)
        for p in m.parameters():
            p.mul_(1.1)
        assert not torch.allclose(m(x, 8), before)
        assert torch.equal(m(x, 8), copy.deepcopy(m)(x, 8))


def test_training_after_inference_mode():
    m = FocalModulation(16)
    x = draw(8, 60, 60, 16)
    with torch.inference_mode():
        m(x, 8)
    m(x, 8).sum().backward()
    assert all(p.grad is not None for p in m.parameters())


def test_tracing_takes_the_plain_form():
    traced = torch.jit.trace(
        lambda x, w: linear(x, w), (draw(3, 4), draw(5, 4))
    )
    assert 'aten::linear' in str(traced.graph)
    assert 'conv' not in str(traced.graph)


class QuantisedWeight(torch.Tensor):
    """A weight that, like torchao's, implements ``F.linear`` only."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.split, torch.Tensor.__getitem__):
            raise NotImplementedError(function)
        if function is nn.functional.linear:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {})).as_subclass(
                    torch.Tensor
                )
        return super().__torch_function__(function, types, args, kwargs or {})


@torch.no_grad()
def test_weights_that_are_tensor_subclasses_are_not_split():
    x = draw(2, 8, 8, 16)
    module = FocalModulation(16).eval()
    wanted = module(x, 2)
    for layer in (module.f, module.f_temporal, module.proj):
        weight = layer.weight.data.as_subclass(QuantisedWeight)
        layer.weight = nn.Parameter(weight, requires_grad=False)
        assert type(layer.weight) is QuantisedWeight
    assert_close(module(x, 2), wanted)
