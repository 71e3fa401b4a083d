"""The exported form of a recognizer computes what the recognizer does."""

from functools import partial

import pytest
import torch
from mmaction.registry import MODELS
from small_recipe import distiller, recognizer, write_teacher

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.device_graph import make_device_graph
from dvfl_mmaction.deployment.export import eager_probabilities
from dvfl_mmaction.deployment.streaming import make_streaming

CLOSE = dict(atol=1e-12, rtol=1e-9)


def build(config=None, dtype=torch.float64, **backbone):
    """A recognizer whose biases and affine maps are far from 0 and 1."""
    torch.manual_seed(0)
    config = config or recognizer()
    config['backbone'] |= dict(init_cfg=[]) | backbone
    width = config['backbone']['arch']['embed_dim']
    stages = len(config['backbone']['arch']['depths'])
    config['cls_head']['in_channels'] = width * 2 ** (stages - 1)
    model = MODELS.build(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_(0.5, 0.5)
    return model.to(dtype)


def clips(frames=8, height=40, width=52):
    generator = torch.Generator().manual_seed(1)
    shape = (2, frames, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def wanted_of(model, frames):
    return torch.from_numpy(eager_probabilities(model, frames.numpy()))


DEEP = dict(arch=dict(embed_dim=8, depths=(1, 1, 2, 1)), out_indices=(3,))
FORMS = [
    dict(),
    DEEP,
    dict(focal_levels=3, focal_windows=5),
    dict(focal_levels=1, focal_windows=1),
    dict(tubelet_size=2),
    dict(temporal='causal'),
    dict(temporal='causal', temporal_window=3, focal_levels=3),
]


@torch.no_grad()
@pytest.mark.parametrize('clip_len', [8, None])
@pytest.mark.parametrize('form', FORMS, ids=str)
def test_it_equals_the_recognizer(form, clip_len):
    model, frames = build(**form), clips()
    graph = make_device_graph(model, clip_len)
    wanted = wanted_of(model, frames)
    assert wanted.std() > 0.01
    torch.testing.assert_close(graph(frames), wanted, **CLOSE)


@torch.no_grad()
def test_it_equals_the_recognizer_in_float32():
    model, frames = build(dtype=torch.float32, **DEEP), clips()
    graph = make_device_graph(model, 8)
    difference = (graph(frames) - wanted_of(model, frames)).abs().max()
    assert difference < 1e-6


@torch.no_grad()
def test_channels_are_reversed_as_the_preprocessor_does():
    config = recognizer()
    config['data_preprocessor']['to_rgb'] = True
    model, frames = build(config), clips()
    wanted = wanted_of(model, frames)
    got = make_device_graph(model, 8)(frames)
    torch.testing.assert_close(got, wanted, **CLOSE)
    other = make_device_graph(model, 8)(frames.flip(-1))
    assert not torch.allclose(other, wanted, atol=1e-6)


@torch.no_grad()
def test_one_mean_of_all_channels_is_taken():
    config = recognizer()
    config['data_preprocessor'] |= dict(mean=[127.5], std=[63.75])
    model, frames = build(config), clips()
    got = make_device_graph(model, 8)(frames)
    torch.testing.assert_close(got, wanted_of(model, frames), **CLOSE)


@torch.no_grad()
def test_without_time_in_the_weights_any_number_of_frames_is_taken():
    model = build()
    graph = make_device_graph(model)
    for frames in (clips(3), clips(11)):
        wanted = wanted_of(model, frames)
        torch.testing.assert_close(graph(frames), wanted, **CLOSE)


@torch.no_grad()
def test_several_labels_have_a_sigmoid_each():
    config = recognizer()
    config['cls_head']['multi_class'] = True
    model, frames = build(config), clips()
    got = make_device_graph(model, 8)(frames)
    torch.testing.assert_close(got, wanted_of(model, frames), **CLOSE)
    assert abs(got.sum(1) - 1).min() > 0.01


@torch.no_grad()
def test_the_student_of_a_distiller_is_exported(tmp_path):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    model, frames = build(distiller(teacher)), clips(4)
    got = make_device_graph(model, 4)(frames)
    torch.testing.assert_close(got, wanted_of(model, frames), **CLOSE)


@torch.no_grad()
def test_the_recognizer_is_left_as_it_was():
    model = build()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    make_device_graph(model, 8)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert flags == [p.requires_grad for p in model.parameters()]


def test_no_tensor_between_has_more_than_four_axes():
    graph = make_device_graph(build(dtype=torch.float32), 8)
    program = torch.export.export(graph, (clips(),))
    ranks = [
        node.meta['val'].dim()
        for node in program.graph.nodes
        if node.op == 'call_function'
        and isinstance(node.meta['val'], torch.Tensor)
    ]
    assert len(ranks) > 50
    assert max(ranks) == 4


@torch.no_grad()
@pytest.mark.parametrize(
    'form',
    [
        dict(temporal_window=8),
        dict(temporal_window=3, focal_levels=3),
        dict(temporal_window=1, focal_windows=1),
    ],
    ids=str,
)
def test_frame_by_frame_it_equals_the_streaming_model(form):
    model, frames = build(temporal='causal', **form), clips(13)
    graph, stream = make_device_graph(model, streaming=True), None
    state = graph.initial_state(2, 40, 52)
    stream = make_streaming(model)
    previous = stream.initial_state(2, 40, 52)
    preprocessor = model.data_preprocessor
    mean, std = (
        v.view(3, 1, 1) for v in (preprocessor.mean, preprocessor.std)
    )
    for frame in frames.unbind(1):
        got, *state = graph(frame, *state)
        x = (frame.permute(0, 3, 1, 2) - mean) / std
        scores, previous = stream(x, previous)
        torch.testing.assert_close(got, scores.softmax(-1), **CLOSE)
    first = graph.initial_state(2, 40, 52)
    for old, new in zip(first, state, strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)


@torch.no_grad()
def test_zeros_restart_one_stream_of_a_batch():
    model = build(temporal='causal', temporal_window=4)
    graph, frames = make_device_graph(model, streaming=True), clips(6)
    fresh = state = graph.initial_state(2, 40, 52)
    for frame in frames.unbind(1):
        _, *state = graph(frame, *state)
    state = [tensor.clone() for tensor in state]
    for tensor in state:
        tensor[1] = 0
    continued, *_ = graph(frames[:, 0], *state)
    restarted, *_ = graph(frames[:, 0], *fresh)
    torch.testing.assert_close(continued[1], restarted[1], **CLOSE)
    assert not torch.allclose(continued[0], restarted[0], atol=1e-6)


@pytest.mark.parametrize(
    'change, arguments, message',
    [
        (dict(type='ResNet3d'), (8,), 'has the backbone ResNet3d'),
        (dict(in_channels=2), (8,), 'takes 2 channels'),
        (dict(out_indices=(0, 1)), (8,), 'has the outputs'),
        (dict(tubelet_size=2), (7,), 'clips have 7 frames'),
        (dict(), (8, True), "temporal='global'"),
    ],
)
def test_what_cannot_be_exported_is_refused(change, arguments, message):
    config = recognizer()
    if 'type' in change:
        config['backbone'] = dict(
            type='ResNet3d', depth=18, pretrained=None, base_channels=4
        )
    else:
        config['backbone'] |= change
    with torch.device('meta'):
        model = MODELS.build(config)
    with pytest.raises(UserError, match=message):
        make_device_graph(model, *arguments)


@pytest.mark.parametrize('clip_len, fits', [(4, True), (6, False), (None, 0)])
def test_clips_longer_than_the_mean_of_the_head_are_refused(clip_len, fits):
    config = recognizer()
    config['cls_head'] |= dict(type='EveryFrameHead', temporal_window=4)
    config['backbone'] |= dict(temporal='causal', temporal_window=4)
    model = build(config)
    if fits:
        make_device_graph(model, clip_len)
        return
    number = f'clips have {clip_len or "any number of"} frames'
    with pytest.raises(UserError, match=f'the last 4 frames, but {number}'):
        make_device_graph(model, clip_len)
    make_device_graph(model, streaming=True)


@pytest.mark.parametrize(
    'head, neck, name',
    [
        (dict(type='TSNHead'), None, 'TSNHead'),
        (dict(spatial_type='max'), None, 'I3DHead'),
        ({}, torch.nn.Identity(), 'I3DHead'),
    ],
)
def test_another_head_or_a_neck_is_refused(head, neck, name):
    config = recognizer()
    config['cls_head'] |= head
    with torch.device('meta'):
        model = MODELS.build(config)
    if neck:
        model.neck = neck
    with pytest.raises(UserError, match=f'has a neck or the head {name}; exp'):
        make_device_graph(model, 8)


def test_a_head_of_another_window_than_the_backbone_has_no_stream():
    config = recognizer()
    config['cls_head'] |= dict(type='EveryFrameHead', temporal_window=8)
    config['backbone'] |= dict(temporal='causal', temporal_window=4)
    with torch.device('meta'):
        model = MODELS.build(config)
    for make in (partial(make_device_graph, streaming=True), make_streaming):
        with pytest.raises(UserError, match='window is 8 but .* is 4; set bo'):
            make(model)
