"""Frame by frame equals clip by clip."""

from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from small_recipe import distiller, recognizer

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.streaming import make_streaming
from dvfl_mmaction.models import VFLNetNano, VideoFocalNet

DOCS = Path(__file__).parents[2] / 'docs'
CLOSE = dict(atol=1e-9, rtol=1e-9)


def clips(frames, height=32, width=32):
    generator = torch.Generator().manual_seed(1)
    shape = (2, 3, frames, height, width)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def backbone(depths=(1, 2), **kwargs):
    torch.manual_seed(0)
    arch = dict(embed_dim=8, depths=depths)
    kwargs = dict(out_indices=(-1,), temporal='causal') | kwargs
    return VideoFocalNet(arch, **kwargs).double().eval()


def build(config, **kwargs):
    torch.manual_seed(0)
    config['backbone'] |= dict(temporal='causal', **kwargs)
    return MODELS.build(config).double().eval()


def play(stream, x):
    """Outputs after each frame, and the last state."""
    state = stream.initial_state(len(x), *x.shape[-2:])
    outs = []
    with torch.no_grad():
        for frame in x.unbind(2):
            out, state = stream(frame, state)
            outs.append(out)
    return outs, state


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(temporal_window=8),
        dict(temporal_window=4),
        dict(temporal_window=1, focal_windows=1),
        dict(temporal_window=3, focal_levels=3),
        dict(temporal_window=8, depths=(1, 1, 2, 1)),
        dict(temporal_window=4, depths=(1, 1, 1, 1), out_indices=(0, 2, 3)),
    ],
    ids=str,
)
def test_features_frame_by_frame_are_those_of_a_clip(kwargs):
    net = backbone(**kwargs)
    x = clips(20, 32, 48)
    outs, _ = play(make_streaming(net), x)
    if len(net.out_indices) == 1:
        outs = [(out,) for out in outs]
    streamed = [torch.stack(maps, 2) for maps in zip(*outs, strict=True)]
    for frames in (3, 8, 13, 20):
        with torch.no_grad():
            wanted = net(x[:, :, :frames])
        if len(net.out_indices) == 1:
            wanted = (wanted,)
        for a, b in zip(streamed, wanted, strict=True):
            torch.testing.assert_close(a[:, :, :frames], b, **CLOSE)


@pytest.mark.parametrize('window', [4, 8])
@pytest.mark.parametrize('distilled', [False, True])
def test_scores_are_those_of_the_recognizer(window, distilled):
    config = recognizer()
    if distilled:
        config = distiller(dict(config=recognizer(), checkpoint='-'))
    model = build(config, temporal_window=window)
    x = clips(13)
    outs, _ = play(make_streaming(model), x)
    with torch.no_grad():
        for frames in range(1, window + 1):
            wanted = model.cls_head(model.backbone(x[:, :, :frames]))
            torch.testing.assert_close(outs[frames - 1], wanted, **CLOSE)
        # The head averages over the last frames of a longer stream.
        last = model.backbone(x)[:, :, -window:]
        torch.testing.assert_close(outs[-1], model.cls_head(last), **CLOSE)


@pytest.mark.parametrize('window', [1, 4])
def test_every_state_has_the_shapes_and_dtypes_of_the_first(window):
    stream = make_streaming(build(recognizer(), temporal_window=window))
    first = stream.initial_state(2, 32, 32)
    _, state = play(stream, clips(3))
    for old, new in zip(first, state, strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)


@pytest.mark.parametrize('window', [1, 4])
@pytest.mark.parametrize(
    ('like', 'message'),
    [((1, 32, 32), '1 streams x 64 '), ((2, 32, 64), '2 streams x 128 ')],
)
def test_the_state_of_other_frames_is_refused(window, like, message):
    stream = make_streaming(build(recognizer(), temporal_window=window))
    frame = clips(1)[:, :, 0]
    with pytest.raises(UserError, match=message) as caught:
        stream(frame, stream.initial_state(*like))
    assert 'the frames are of 2 streams x 64 positions' in str(caught.value)
    with pytest.raises(UserError, match='of another model; begin with'):
        stream(frame, stream.initial_state(2, 32, 32)[:3])


def test_a_state_is_not_changed_and_gives_the_same_again():
    stream = make_streaming(build(recognizer()))
    x = clips(5)
    _, state = play(stream, x)
    before = [tensor.clone() for tensor in state]
    with torch.no_grad():
        first, _ = stream(x[:, :, 0], state)
        again, _ = stream(x[:, :, 0], state)
    assert torch.equal(first, again)
    for old, kept in zip(before, state, strict=True):
        assert torch.equal(old, kept)


def test_zeros_restart_one_stream_of_a_batch():
    stream = make_streaming(build(recognizer(), temporal_window=4))
    x = clips(9)
    _, state = play(stream, x)
    state = [tensor.clone() for tensor in state]
    for tensor in state:
        tensor[1] = 0
    fresh = stream.initial_state(2, 32, 32)
    with torch.no_grad():
        continued, _ = stream(x[:, :, 0], state)
        restarted, _ = stream(x[:, :, 0], fresh)
    torch.testing.assert_close(continued[1], restarted[1], **CLOSE)
    assert not torch.allclose(continued[0], restarted[0])


def test_float16_weights_have_a_float16_state():
    net = backbone(temporal_window=4)
    x = clips(9)
    with torch.no_grad():
        wanted = net(x)[:, :, -1]
    outs, state = play(make_streaming(net.half()), x.half())
    assert {tensor.dtype for tensor in state[1:]} == {torch.float16}
    torch.testing.assert_close(outs[-1].double(), wanted, atol=0.02, rtol=0)


def test_the_count_stops_at_the_window():
    stream = make_streaming(backbone(temporal_window=4))
    _, state = play(stream, clips(9))
    assert state[0].tolist() == [4, 4]


def test_it_exports_as_one_graph_with_the_state_as_inputs_and_outputs():
    stream = make_streaming(build(recognizer(), temporal_window=2))
    x = clips(3)
    state = stream.initial_state(2, 32, 32)
    program = torch.export.export(stream, (x[:, :, 0], state)).module()
    wanted, _ = play(stream, x)
    for frame, scores in zip(x.unbind(2), wanted, strict=True):
        out, state = program(frame, state)
        torch.testing.assert_close(out, scores, **CLOSE)


def test_the_state_of_vflnet_has_the_documented_size():
    with torch.device('meta'):
        net = VFLNetNano(temporal='causal').half()
        model = torch.nn.Module()
        model.backbone = net
        model.cls_head = MODELS.build(
            dict(type='I3DHead', num_classes=101, in_channels=768)
        )
        state = make_streaming(model).initial_state(1, 224, 224)
    megabytes = sum(t.numel() * t.itemsize for t in state) / 1e6
    assert megabytes < 18
    text = (DOCS / 'streaming.md').read_text()
    assert f'{megabytes:.1f} MB in float16' in text
    maps = sum(t.shape[1] * t[0, 0].numel() for t in state[1:-1])
    one = maps // 13  # 2 + 4 frames before the convolutions, 7 of the mean
    assert f'{2 * 7 * one / 1e6:.1f} MB' in text  # a mean without a window
    assert f'{len(state)} tensors' in text


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(backbone=dict(temporal='global')), "has temporal='global'"),
        (
            dict(cls_head=dict(type='TSNHead')),
            'the head TSNHead; class scores of a stream need an I3DHead',
        ),
        (dict(backbone=None), 'Recognizer3D has no Video-FocalNet'),
    ],
)
def test_what_cannot_stream_is_refused(change, message):
    config = recognizer()
    config['backbone']['temporal'] = 'causal'
    for key, value in change.items():
        config[key] = dict(config[key], **value) if value else None
    if not config['backbone']:
        config['backbone'] = dict(
            type='ResNet3d', depth=18, pretrained=None, base_channels=4
        )
    with torch.device('meta'), pytest.raises(UserError, match=message):
        make_streaming(MODELS.build(config))
