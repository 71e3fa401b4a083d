"""Recorded modulators: their values, and outputs that stay as they are."""

import pytest
import torch
from torch import nn

from dvfl_mmaction.analysis.modulation.modulators import (
    KINDS,
    check_stages,
    magnitude,
    record_modulators,
)
from dvfl_mmaction.analysis.modulation.observer import Observer
from dvfl_mmaction.analysis.modulation.upsampling import upsample
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.models import VideoFocalNet

ARCH = dict(embed_dim=8, depths=(1, 2))
FORMS = ('global', 'causal')


def network(**kwargs):
    return VideoFocalNet(ARCH, out_indices=(1,), **kwargs).eval()


@torch.no_grad()
def recorded(model, x, stages=(1, 2)):
    with record_modulators(model, stages) as maps:
        output = model(x)
    return output, maps


def test_the_magnitude_is_the_length_of_the_channels():
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3)
    assert torch.equal(magnitude(x), torch.full((1, 2, 3), 5.0))


def test_modulators_that_are_known_are_found():
    model = network()
    modulation = model.layers[1].blocks[-1].modulation
    values = dict(h=(3.0, 4.0), h_temporal=(1.0, 2.0))
    for name, first in values.items():
        layer = getattr(modulation, name)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        layer.bias.data[:2] = torch.tensor(first)
    _, maps = recorded(model, torch.randn(2, 3, 4, 16, 24))
    wanted = dict(space=5.0, time=5**0.5, product=(3**2 + 8**2) ** 0.5)
    for kind, value in wanted.items():
        found = maps[2][kind]
        assert found.shape == (2 * 4, 2, 3)
        torch.testing.assert_close(found, torch.full_like(found, value))


@pytest.mark.parametrize('form', FORMS)
def test_maps_are_in_the_order_of_the_frames(form):
    model = network(temporal=form)
    seen = []
    modulation = model.layers[0].blocks[0].modulation
    handle = modulation.register_forward_pre_hook(
        lambda module, args: seen.append(args[0])
    )
    _, maps = recorded(model, torch.randn(2, 3, 4, 16, 24), [1])
    handle.remove()
    assert list(maps) == [1] and set(maps[1]) == set(KINDS)
    with torch.no_grad():
        time = modulation.modulate_time(seen[0], 4)
    torch.testing.assert_close(maps[1]['time'], magnitude(time))
    assert maps[1]['time'].std() > 0


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('shape', [(2, 3, 4, 16, 24), (3, 3, 16, 24)])
def test_outputs_stay_equal_and_no_hook_remains(form, shape):
    model, x = network(temporal=form), torch.randn(shape)
    with torch.no_grad():
        before = model(x)
    output, maps = recorded(model, x)
    assert torch.equal(output, before)
    frames = shape[0] * (shape[2] if len(shape) == 5 else 1)
    assert maps[1]['product'].shape == (frames, 4, 6)
    assert not any(m._forward_hooks for m in model.modules())


def test_the_last_block_of_a_stage_is_recorded():
    model = network()
    blocks = model.layers[1].blocks
    for block, value in zip(blocks, (1.0, 2.0), strict=True):
        nn.init.zeros_(block.modulation.h.weight)
        nn.init.zeros_(block.modulation.h.bias)
        block.modulation.h.bias.data[0] = value
    _, maps = recorded(model, torch.randn(1, 3, 2, 16, 16), [2])
    assert (maps[2]['space'] == 2).all()


def test_other_stages_and_backbones_are_refused():
    assert check_stages(network()) == [1, 2]
    assert check_stages(network(), [2, 2]) == [2]
    for stage in (0, 3):
        with pytest.raises(UserError, match='has the stages 1 to 2; give'):
            check_stages(network(), [stage])
    with pytest.raises(UserError, match='Linear has no focal modulation'):
        check_stages(nn.Linear(1, 1))


def test_maps_are_upsampled_bilinearly():
    maps = torch.tensor([[[0.0, 1.0]]])
    wanted = torch.tensor([0, 0, 1, 3, 5, 7, 8, 8]) / 8
    torch.testing.assert_close(
        upsample(maps, 1, (4, 8)), wanted.expand(1, 4, 8)
    )


def test_pixels_that_the_network_drops_get_the_value_at_the_edge():
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    full = upsample(maps, 2, (19, 21))
    assert full.shape == (1, 19, 21)
    assert (full[0, 16:, 15:] == 4).all()
    torch.testing.assert_close(full[:, :16, :16], upsample(maps, 2, (16, 16)))


def test_modulators_that_are_not_finite_are_refused():
    model = nn.Module()
    model.backbone = network()
    bias = model.backbone.layers[1].blocks[-1].modulation.h_temporal.bias
    nn.init.constant_(bias, float('nan'))

    def score(samples):
        model.backbone(samples[0]['inputs'].float())
        return torch.tensor([[float('nan')] * 2])

    observer = Observer('net', model, score, [], 'RGB', [1, 2], None, {})
    clip = dict(inputs=torch.zeros(1, 3, 4, 16, 16, dtype=torch.uint8))
    with (
        torch.no_grad(),
        pytest.raises(UserError, match='of net in stage 2 are not finite'),
    ):
        observer.observe(clip)


def test_of_several_views_the_middle_one_is_observed():
    model, seen = nn.Module(), []
    model.backbone = network()

    def score(samples):
        seen.append(samples[0]['inputs'])
        model.backbone(seen[0].float())
        return torch.tensor([[0.2, 0.8]])

    observer = Observer('net', model, score, [], 'RGB', [1, 2], None, {})
    views = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1, 1)
    views = views.repeat(1, 3, 4, 16, 16)
    with torch.no_grad():
        view = observer.observe(dict(inputs=views))
    assert torch.equal(seen[0], views[1:2])
    assert (view.frames == 1).all() and len(view.frames) == 4
    assert view.predicted == 'class 1'
