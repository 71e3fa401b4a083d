"""Colour changes on the device equal those of the worker."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS, TRANSFORMS
from mmaction.structures import ActionDataSample

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets import ClipColorJitter, ClipGrayscale
from dvfl_mmaction.datasets.clip_transforms import ADJUSTMENTS
from dvfl_mmaction.models.data_preprocessor import change_colors

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
AMOUNTS = dict(brightness=1.37, contrast=0.62, saturation=1.2, hue=-0.07)


def clips_of(num_clips, num_frames=3, size=24):
    """(B, T, H, W, 3) uint8: smooth images with black and white areas."""
    rng = np.random.default_rng(0)
    shape = (num_clips * num_frames, 5, 5, 3)
    levels = rng.integers(-60, 316, shape).clip(0, 255).astype(np.uint8)
    frames = [cv2.resize(f, (size, size)) for f in levels]
    return np.stack(frames).reshape(num_clips, num_frames, size, size, 3)


def as_inputs(clips):
    """(B, T, H, W, 3) -> (B, 1, 3, T, H, W)."""
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).unsqueeze(1)


def in_the_worker(clip, changes):
    image = clip.reshape(-1, *clip.shape[2:])
    for name, amount in changes:
        image = ADJUSTMENTS[name](image, amount)
    return image.reshape(clip.shape)


def preprocessor(blending=None, kind='ClipDataPreprocessor', **kwargs):
    return MODELS.build(
        dict(
            type=kind,
            mean=MEAN,
            std=STD,
            format_shape='NCTHW',
            blending=blending,
        )
        | kwargs
    )


def batch_of(clips, changes):
    samples = []
    for i, change in enumerate(changes):
        sample = ActionDataSample().set_gt_label(i)
        if change is not None:
            sample.set_metainfo(dict(color_changes=change))
        samples.append(sample)
    return dict(inputs=list(as_inputs(clips)), data_samples=samples)


@pytest.mark.parametrize('name', AMOUNTS)
def test_each_operation_equals_the_workers_up_to_rounding(name):
    clips = clips_of(2)
    amounts = AMOUNTS[name], 1 / AMOUNTS[name] if name != 'hue' else 0.3
    changes = [((name, amount),) for amount in amounts]
    ours = change_colors(as_inputs(clips).float(), changes)
    for clip, change, got in zip(clips, changes, ours, strict=True):
        wanted = as_inputs(in_the_worker(clip, change)[None])[0]
        assert not torch.equal(wanted, as_inputs(clip[None])[0])
        # Saturation blends with a grey that the worker rounds.
        assert (got - wanted).abs().max() < 0.7


@pytest.mark.parametrize('format_shape', ['NCTHW', 'NCHW'])
def test_to_rgb_reverses_the_channels_with_and_without_changes(format_shape):
    model = preprocessor(to_rgb=True, format_shape=format_shape)
    clips = clips_of(2)
    unchanged, same = batch_of(clips, [None] * 2), (('brightness', 1.0),)
    changed = batch_of(clips, [same, None])
    if format_shape == 'NCHW':
        for batch in (unchanged, changed):
            batch['inputs'] = [x[0].transpose(0, 1) for x in batch['inputs']]
    wanted = model(unchanged, training=True)['inputs']
    assert (wanted != wanted.flip(2)).any()
    torch.testing.assert_close(model(changed, True)['inputs'], wanted)


def test_24_orders_in_one_batch_equal_those_of_the_worker():
    orders = list(itertools.permutations(AMOUNTS.items()))
    rng = np.random.default_rng(1)
    changes = [
        tuple((name, amount * rng.uniform(0.9, 1.1)) for name, amount in order)
        for order in orders
    ]
    clips = clips_of(len(orders))
    ours = change_colors(as_inputs(clips).float(), changes)
    for clip, change, got in zip(clips, changes, ours, strict=True):
        wanted = as_inputs(in_the_worker(clip, change)[None])[0]
        error = (got - wanted).abs()
        assert error.mean() < 1 and error.max() < 8
    assert len(ours.unique(dim=0)) == 24


def test_frames_of_a_2d_recognizer_are_changed_equally():
    clips = clips_of(4)
    changes = [tuple(AMOUNTS.items())] * 4
    wanted = change_colors(as_inputs(clips).float(), changes)
    frames = torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float()
    ours = change_colors(frames, changes)  # (B, T, 3, H, W)
    assert torch.allclose(ours.transpose(1, 2), wanted[:, 0], atol=1e-3)


def test_hue_by_hand():
    colours = np.array(
        [[200, 20, 20], [20, 200, 20], [20, 20, 200], [90, 90, 90], [0, 0, 0]]
    )
    clip = torch.tensor(colours, dtype=torch.float32).T.reshape(
        1, 1, 3, 1, 1, 5
    )
    turned = change_colors(clip, [(('hue', 1 / 3),)])[0, 0, :, 0, 0].T
    wanted = colours[[1, 2, 0, 3, 4]]
    assert torch.allclose(turned, torch.tensor(wanted).float(), atol=1e-3)


def test_clips_without_changes_stay():
    clips = as_inputs(clips_of(3)).float()
    changes = [(), (('brightness', 0.5),), (('hue', 0.0),)]
    ours = change_colors(clips.clone(), changes)
    assert torch.equal(ours[0], clips[0])
    assert torch.equal(ours[1], clips[1] * 0.5)
    assert torch.allclose(ours[2], clips[2], atol=1e-3)


def test_deferred_draws_equal_those_of_the_worker():
    clips = clips_of(40)
    changes = []
    for seed, clip in enumerate(clips):
        results = []
        for deferred in (False, True):
            np.random.seed(seed)
            sample = dict(imgs=list(clip))
            for kind in (ClipColorJitter, ClipGrayscale):
                sample = kind(prob=0.5, deferred=deferred)(sample)
            results.append(sample)
        worker, later = results
        assert np.array_equal(later['imgs'], clip)
        changes.append(later.get('color_changes', ()))
        got = change_colors(as_inputs(clip[None]).float(), [changes[-1]])
        wanted = as_inputs(np.stack(worker['imgs'])[None])
        assert (got - wanted).abs().mean() < 1
    lengths = [len(change) for change in changes]
    assert set(lengths) == {0, 1, 4, 5}  # neither, grey, jitter, both


def test_colours_are_changed_before_normalising_and_blending():
    clips = clips_of(4)
    changes = [(('saturation', 0.0),), None, (('contrast', 0.5),), ()]
    got = preprocessor()(batch_of(clips, changes), training=True)['inputs']
    coloured = change_colors(
        as_inputs(clips).float(), [c or () for c in changes]
    )
    mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (MEAN, STD))
    assert torch.allclose(got, (coloured - mean) / std, atol=1e-5)

    blending = dict(type='MixupOrCutmix', num_classes=4)
    data = preprocessor(blending)(batch_of(clips, changes), training=True)
    labels = torch.stack([s.gt_label for s in data['data_samples']])
    assert labels.shape == (4, 4)
    assert torch.allclose(labels.sum(1), torch.ones(4))


@pytest.mark.parametrize('training', [False, True])
def test_without_changes_it_equals_mmactions(training):
    clips = clips_of(3)
    # In testing the draws are ignored.
    changes = [None] * 3 if training else [(('brightness', 0.5),)] * 3
    ours, theirs = (
        preprocessor(kind=kind)(batch_of(clips, changes), training=training)
        for kind in ('ClipDataPreprocessor', 'ActionDataPreprocessor')
    )
    assert torch.equal(ours['inputs'], theirs['inputs'])


def test_the_sample_contains_the_draws():
    np.random.seed(0)
    sample = dict(imgs=list(clips_of(1)[0]), num_clips=1, clip_len=3, label=1)
    for step in (
        dict(type='ClipColorJitter', prob=1, deferred=True),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=('color_changes',)),
    ):
        sample = TRANSFORMS.build(step)(sample)
    changes = sample['data_samples'].color_changes
    assert {name for name, _ in changes} == set(AMOUNTS)
    assert sample['inputs'].dtype == torch.uint8


def test_blending_without_a_number_of_classes_is_refused():
    model = preprocessor(dict(type='MixupOrCutmix'))
    clips = clips_of(2)
    with pytest.raises(UserError, match='no num_classes; train with .*Check'):
        model(batch_of(clips, [None, None]), training=True)
    model(batch_of(clips, [None, None]), training=False)


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(num_classes=1), 'num_classes of .* is 1; give 2 or more'),
        (dict(mixup_alpha=0), 'mixup_alpha of .* is 0; give a number above'),
        (dict(cutmix_alpha=-1.0), 'cutmix_alpha of MixupOrCutmix is -1.0'),
    ],
)
def test_blending_out_of_range_is_refused(wrong, message):
    blending = dict(type='MixupOrCutmix', num_classes=4) | wrong
    with pytest.raises(UserError, match=message):
        preprocessor(blending)


def test_labels_of_different_lengths_stay_where_they_are():
    model = preprocessor()
    batch = batch_of(clips_of(2), [None, None])
    labels = [torch.tensor([1]), torch.tensor([1, 0, 1])]
    for sample, label in zip(batch['data_samples'], labels, strict=True):
        sample.set_gt_label(label)
    samples = model(batch, training=True)['data_samples']
    for sample, label in zip(samples, labels, strict=True):
        assert torch.equal(sample.gt_label, label)


def test_blending_equals_mmactions():
    settings = dict(num_classes=4)
    theirs = MODELS.build(
        dict(
            type='RandomBatchAugment',
            augments=[
                dict(type='MixupBlending', alpha=0.8, **settings),
                dict(type='CutmixBlending', alpha=1.0, **settings),
            ],
        )
    )
    ours = MODELS.build(dict(type='MixupOrCutmix', **settings))
    clips = torch.rand(4, 1, 3, 2, 16, 16)
    blended = []
    for blend in (ours, theirs):
        for seed in range(6):
            np.random.seed(seed)
            torch.manual_seed(seed)
            samples = [ActionDataSample().set_gt_label(i) for i in range(4)]
            images, samples = blend(clips.clone(), samples)
            labels = torch.stack([sample.gt_label for sample in samples])
            blended.append((images, labels))
    for one, other in zip(blended[:6], blended[6:], strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
        assert not torch.equal(one[0], clips)
