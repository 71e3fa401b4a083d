"""The causal form of the backbone, on whole clips."""

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dvfl_mmaction import UserError
from dvfl_mmaction.models import VFLNetNano, VideoFocalNet
from dvfl_mmaction.models.causal import (
    History,
    apply_causally,
    running_mean,
)
from dvfl_mmaction.models.focal_modulation import TemporalConv

SMALL = dict(embed_dim=8, depths=(1, 2))


def causal(**kwargs):
    torch.manual_seed(0)
    return VideoFocalNet(
        SMALL, **dict(dict(out_indices=(1,), temporal='causal'), **kwargs)
    )


def clips(frames, batch=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    shape = (batch, 3, frames, 32, 32)
    return torch.randn(shape, generator=generator, dtype=dtype)


def test_the_mean_grows_to_the_window_then_slides():
    x = torch.tensor([1.0, 2.0, 3.0, 10.0, 5.0]).view(1, 5, 1, 1)
    means = running_mean(x, 3).flatten().tolist()
    assert means == pytest.approx([1, 1.5, 2, 5, 6])
    assert torch.equal(running_mean(x, 1), x)


def test_the_count_of_a_stream_stops_at_the_window():
    history = History([torch.tensor([0.0, 2.0, 3.0])])
    (count,) = history.next_state(2, 3)
    assert count.tolist() == [2, 3, 3]


def test_a_causal_convolution_sees_zeros_before_the_first_frame():
    conv = TemporalConv(4, 6, 5, bias=False, padded=False)
    x = torch.randn(2, 4, 7, 9)
    out = apply_causally(nn.Sequential(conv), x)
    wanted = torch.zeros(2, 6, 7, 9)
    for t in range(7):
        for back in range(min(t, 4) + 1):
            tap = conv.weight[..., 4 - back]
            wanted[:, :, t] += torch.einsum(
                'oc,bcp->bop', tap, x[:, :, t - back]
            )
    torch.testing.assert_close(out, wanted)


@pytest.mark.parametrize('window', [4, 8])
@pytest.mark.parametrize('frames', [3, 8, 13, 20])
def test_a_frame_depends_on_no_later_one(frames, window):
    net = causal(temporal_window=window).eval()
    x = clips(frames, batch=1)
    changed = frames // 2
    other = x.clone()
    other[:, :, changed] += 1
    with torch.no_grad():
        differs = (net(x) != net(other)).any(dim=(0, 1, 3, 4))
    assert differs.tolist()[:changed] == [False] * changed
    # Two levels of 3 + 5 frames, and the mean: the next ones change as well.
    assert differs[changed : changed + 4].all()


@pytest.mark.parametrize('frames', [3, 8, 13, 20])
def test_a_longer_clip_begins_as_a_shorter_one(frames):
    net = causal(temporal_window=4).double().eval()
    x = clips(20, dtype=torch.float64)
    with torch.no_grad():
        begun = net(x)[:, :, :frames]
        torch.testing.assert_close(net(x[:, :, :frames]), begun)


def test_the_window_limits_the_mean():
    x = clips(6, batch=1)
    with torch.no_grad():
        four, eight = (
            causal(temporal_window=window).eval()(x) for window in (4, 8)
        )
    torch.testing.assert_close(four[:, :, :4], eight[:, :, :4])
    assert not torch.allclose(four[:, :, 4], eight[:, :, 4])


def test_weights_of_the_global_form_load_strictly():
    with torch.device('meta'):
        nets = VFLNetNano(), VFLNetNano(temporal='causal')
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in nets]
    assert shapes[0] == shapes[1]
    net = causal(temporal='global')
    assert causal().load_state_dict(net.state_dict(), strict=True)
    x = clips(3)
    assert not torch.allclose(net.eval()(x), causal().eval()(x))


@pytest.mark.parametrize('with_cp', [False, True])
def test_every_parameter_gets_a_gradient(with_cp):
    net = causal(out_indices=(0, 1), with_cp=with_cp, drop_path_rate=0.2)
    plain = causal(out_indices=(0, 1), drop_path_rate=0.2)
    for model in (net, plain):
        torch.manual_seed(3)
        sum(o.square().sum() for o in model(clips(10))).backward()
    for a, b in zip(net.parameters(), plain.parameters(), strict=True):
        assert a.grad.any()
        torch.testing.assert_close(a.grad, b.grad)


def test_frozen_stages_get_no_gradient():
    net = causal(frozen_stages=1).train()
    net(clips(4)).sum().backward()
    grads = {k: p.grad is not None for k, p in net.named_parameters()}
    assert {k for k, has in grads.items() if not has} == {
        k for k in grads if k.startswith(('patch_embed', 'layers.0'))
    }


def test_multiply_adds_are_those_of_the_global_form():
    macs = []
    for temporal in ('global', 'causal'):
        with torch.device('meta'), torch.no_grad():
            net = VFLNetNano(temporal=temporal)
            with FlopCounterMode(display=False) as counter:
                net(torch.zeros(1, 3, 8, 224, 224))
        macs.append(counter.get_total_flops() // 2)
    assert macs[0] == macs[1]


def test_the_fast_path_of_a_cpu_agrees_with_float64():
    net = causal().eval()
    with torch.no_grad():
        fast = net(clips(10))
        wanted = net.double()(clips(10).double())
    torch.testing.assert_close(fast.double(), wanted, atol=1e-4, rtol=1e-4)


def test_bfloat16_autocast_keeps_the_dtype_of_the_layers():
    net = causal().eval()
    with torch.no_grad():
        wanted = net(clips(10))
        with torch.autocast('cpu', torch.bfloat16):
            out = net(clips(10))
    torch.testing.assert_close(out.float(), wanted, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(temporal='x'), "temporal is 'x'; give 'global'.*or 'causal'"),
        (dict(temporal_window=0), 'temporal_window is 0; give 1 or more'),
        (dict(temporal_window=2.5), 'temporal_window is 2.5; give 1 or'),
        (dict(tubelet_size=2), 'tubelet_size is 2; set tubelet_size=1'),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with torch.device('meta'), pytest.raises(UserError, match=message):
        causal(**kwargs)


def test_a_window_that_the_global_form_does_not_read_is_warned_about(caplog):
    logger = MMLogger.get_instance('window')
    logger.addHandler(caplog.handler)
    with torch.device('meta'):
        causal(temporal='global', temporal_window=8)
        causal(temporal_window=4)
        assert not caplog.text
        causal(temporal='global', temporal_window=4)
    assert 'temporal_window=4 has no effect' in caplog.text
