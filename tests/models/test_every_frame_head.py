"""A loss after every frame of a clip."""

import pytest
import torch
from mmaction.registry import METRICS, MODELS
from mmaction.structures import ActionDataSample
from small_recipe import distiller, recognizer

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.device_graph import make_device_graph
from dvfl_mmaction.deployment.streaming import make_streaming
from dvfl_mmaction.models.pairing import check_parts

FRAMES = 5
WINDOW = 3


def causal(config, **head):
    """The config with a causal backbone and the head."""
    config['backbone'] |= dict(temporal='causal', temporal_window=WINDOW)
    config['cls_head'] |= dict(type='EveryFrameHead', temporal_window=WINDOW)
    config['cls_head'] |= head
    return config


def build(config):
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model.double()


def batch(labels, frames=FRAMES):
    """Normalised clips and their samples."""
    torch.manual_seed(1)
    x = torch.randn(len(labels), 1, 3, frames, 32, 32, dtype=torch.float64)
    samples = [ActionDataSample().set_gt_label(label) for label in labels]
    return x, samples


def streamed_scores(model, x):
    """Scores after each frame of the frame-by-frame form, (B, T, K)."""
    was_training = model.training
    stream = make_streaming(model)
    state = stream.initial_state(len(x), *x.shape[-2:])
    scores = []
    for frame in x[:, 0].unbind(2):
        out, state = stream(frame, state)
        scores.append(out)
    model.train(was_training)
    return torch.stack(scores, 1)


def test_frame_scores_and_prediction_are_those_of_a_stream():
    model = build(causal(recognizer())).eval()
    x, _ = batch([0, 3])
    with torch.no_grad():
        wanted = streamed_scores(model, x)
        feats = model.backbone(x[:, 0])
        scores = model.cls_head.frame_scores(feats)
        last = model.cls_head(feats)
    close = dict(atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(scores, wanted, **close)
    torch.testing.assert_close(last, wanted[:, -1], **close)


def test_the_weights_are_those_of_i3d_head():
    ours = MODELS.build(causal(recognizer())['cls_head'])
    theirs = MODELS.build(recognizer()['cls_head'])
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_the_loss_is_the_mean_over_all_frames():
    model = build(causal(recognizer()))
    x, samples = batch([0, 3])
    losses = model.loss(x, samples)
    scores = streamed_scores(model, x)
    wanted = [
        torch.nn.functional.cross_entropy(scores[:, t], torch.tensor([0, 3]))
        for t in range(FRAMES)
    ]
    torch.testing.assert_close(losses['loss_cls'], sum(wanted) / FRAMES)
    right = scores.argmax(-1) == torch.tensor([[0], [3]])
    accuracy = right.double().mean()
    torch.testing.assert_close(losses['top1_acc'].double(), accuracy)


def test_each_frame_is_compared_with_the_teacher_of_the_clip(tmp_path):
    teacher = build(recognizer(width=16)).float()
    teacher.cls_head.fc_cls.weight.data.mul_(1000)  # so that clips differ
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict()), path)
    config = distiller(dict(config=recognizer(width=16), checkpoint=str(path)))
    model = build(causal(config)).float()
    model.cls_head.fc_cls.weight.data.mul_(1000)
    x, samples = batch([0, 3])
    x = x.float()
    losses = model.loss(x, samples)
    with torch.no_grad():
        scores = streamed_scores(model, x)
        logits = teacher.eval().cls_head(teacher.backbone(x[:, 0]))
        wanted = sum(
            model.alpha * model.loss_kd(scores[:, t], logits)
            for t in range(FRAMES)
        )
        agreement = scores.argmax(-1) == logits.argmax(-1)[:, None]
        swapped = model.loss_kd(scores[:, 0], logits.flip(0))
    assert (swapped - model.loss_kd(scores[:, 0], logits)).abs() > 0.1
    torch.testing.assert_close(losses['loss_kd'], wanted / FRAMES)
    torch.testing.assert_close(
        losses['teacher_agreement'], agreement.float().mean()
    )


def test_unlabelled_clips_have_no_label_loss_at_any_frame(tmp_path):
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=build(recognizer()).state_dict()), path)
    config = distiller(dict(config=recognizer(), checkpoint=str(path)))
    model = build(causal(config)).float()
    x, samples = batch([2, -1])
    x = x.float()
    samples[1].set_metainfo(dict(unlabelled=True))
    losses = model.loss(x, samples)
    scores = streamed_scores(model, x)
    labels = torch.full((FRAMES,), 2)
    wanted = torch.nn.functional.cross_entropy(scores[0], labels)
    torch.testing.assert_close(losses['loss_cls'], (1 - model.alpha) * wanted)


def test_a_test_reports_the_accuracy_after_each_frame():
    model = build(causal(recognizer(), average_clips='prob')).eval()
    one, _ = batch([0, 0])
    other, _ = batch([0, 0], FRAMES)
    x = torch.cat([one, other.flip(3)], 1)  # two views
    samples = [ActionDataSample().set_gt_label(0) for _ in range(2)]
    with torch.no_grad():
        found = model.predict(x, samples)
        views = [streamed_scores(model, x[:, [v]]).softmax(-1) for v in (0, 1)]
    wanted = (views[0] + views[1]) / 2  # (B, T, K)
    for i, sample in enumerate(found):
        torch.testing.assert_close(sample.frame_scores, wanted[i])
        torch.testing.assert_close(sample.pred_score, wanted[i, -1])
    best = wanted[:, 2].argmax(-1)  # right after the third frame
    metric = METRICS.build(dict(type='ClipMetric'))
    for sample, label in zip(found, best, strict=True):
        sample.set_gt_label(int(label))
    found[1].set_metainfo(dict(broken=(('b.mp4', 'empty'),)))
    metric.process(None, [sample.to_dict() for sample in found])
    metric.evaluate(2)
    right = wanted[0].argmax(-1) == best[0]
    assert metric.report['frames_seen'] == [
        dict(frames=t + 1, top1=float(right[t]) / 2) for t in range(FRAMES)
    ]
    assert metric.report['frames_seen'][2]['top1'] == 0.5


def test_scores_under_autocast_are_float32_at_every_frame():
    model = build(causal(recognizer())).float().eval()
    x, samples = batch([0, 3])
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        found = model.predict(x.float(), samples)
    for sample in found:
        assert sample.frame_scores.dtype == torch.float32
        assert torch.equal(sample.frame_scores[-1], sample.pred_score)


@pytest.mark.parametrize(
    ('head', 'backbone', 'message'),
    [
        ({}, dict(temporal='global'), "backbone.temporal='causal'"),
        ({}, dict(temporal_window=8), 'is 3 but that of the backbone is 8'),
        (dict(temporal_window=0), {}, 'temporal_window is 0'),
        (dict(spatial_type='max'), {}, "set spatial_type='avg'"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(head, backbone, message):
    config = causal(recognizer(), **head)
    config['backbone'] |= backbone
    with pytest.raises(UserError, match=message):
        check_parts(MODELS.build(config))


@pytest.mark.parametrize('clip_len', [WINDOW + 1, None])
def test_longer_clips_than_its_window_are_not_exported(clip_len):
    model = build(causal(recognizer())).eval()
    with pytest.raises(UserError, match='the last 3 frames.*--streaming'):
        make_device_graph(model, clip_len)


def test_a_clip_of_its_window_is_exported():
    config = causal(recognizer())
    config.pop('data_preprocessor')
    model = build(config).eval()
    frames = torch.randint(0, 256, (2, WINDOW, 32, 32, 3), dtype=torch.uint8)
    x = frames.permute(0, 4, 1, 2, 3).double()
    with torch.no_grad():
        wanted = model.cls_head(model.backbone(x)).softmax(-1)
        got = make_device_graph(model, WINDOW)(frames)
    torch.testing.assert_close(got, wanted, atol=1e-9, rtol=1e-9)
