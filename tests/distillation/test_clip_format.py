"""Frames and size that a config says."""

import pytest
from mmaction.datasets.transforms import UniformSample
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_recipe import recognizer

from dvfl_mmaction.distillation.clip_format import (
    ClipFormat,
    built_segments,
    read_clip_format,
    sampled_span,
)
from dvfl_mmaction.project_paths import find_config


def config(steps=(), model=None, **loaders) -> dict:
    dataset = dict(dataset=dict(pipeline=list(steps)))
    return dict(model=model or {}, train_dataloader=dataset) | loaders


@pytest.mark.parametrize(
    ('steps', 'wanted'),
    [
        (
            [
                dict(type='SampleFrames', clip_len=16, frame_interval=4),
                dict(type='Resize', scale=(-1, 256)),
                dict(type='RandomResizedCrop'),
                dict(type='Resize', scale=(224, 192), keep_ratio=False),
                dict(type='Flip'),
            ],
            ClipFormat(16, (192, 224)),  # scale is (width, height)
        ),
        (
            [
                dict(type='UniformSample', clip_len=8),
                dict(type='mmaction.CenterCrop', crop_size=(128, 96)),
            ],
            ClipFormat(8, (96, 128)),
        ),
        ([dict(type='RandomCrop', size=112)], ClipFormat(None, (112, 112))),
        (
            [
                dict(type='CenterCrop', crop_size=224),
                dict(type='Resize', scale=(-1, 64)),
            ],
            ClipFormat(),
        ),
        ([dict(type='MultiScaleCrop', input_size=224)], ClipFormat()),
        ([], ClipFormat()),
    ],
)
def test_the_training_pipeline_says_them(steps, wanted):
    assert read_clip_format(config(steps), 'NCTHW') == wanted


def test_the_network_says_them_without_a_pipeline():
    mvit = dict(backbone=dict(type='MViT', spatial_size=64, temporal_size=8))
    vit = dict(
        backbone=dict(type='VisionTransformer', img_size=224, num_frames=16)
    )
    assert read_clip_format(mvit, 'NCTHW') == ClipFormat(8, (64, 64))
    assert read_clip_format(vit, 'NCTHW') == ClipFormat(16, (224, 224))


def test_frames_of_a_2d_recognizer_are_its_segments():
    steps = [dict(type='SampleFrames', clip_len=1, num_clips=3)]
    tsn = dict(backbone=dict(type='ResNet'))
    tsm = dict(backbone=dict(type='ResNetTSM', num_segments=8))
    trn = dict(tsn, cls_head=dict(type='TRNHead', num_segments=5))
    found = [
        read_clip_format(config(steps, model), 'NCHW').num_frames
        for model in (tsn, tsm, trn)
    ]
    assert found == [None, 8, 5]


@pytest.mark.parametrize(
    ('step', 'wanted'),
    [
        (dict(type='UniformSample', clip_len=8), 'the whole video'),
        (dict(type='UniformSampleFrames', clip_len=8), 'the whole video'),
        (dict(type='mmaction.UniformSample', clip_len=8), 'the whole video'),
        (dict(type=UniformSample, clip_len=8), 'the whole video'),
        (
            dict(type='SampleFrames', clip_len=1, num_clips=8),
            'the whole video',
        ),
        (dict(type='SampleFrames', clip_len=1), '1 frames of the video'),
        (
            dict(type='SampleFrames', clip_len=8, frame_interval=8),
            '64 frames of the video',
        ),
        (
            dict(type='DenseSampleFrames', clip_len=16, frame_interval=2),
            '32 frames of the video',
        ),
        (dict(type='OwnSampler', clip_len=8), None),
        (dict(type='Flip'), None),
    ],
)
def test_the_part_of_the_video_that_a_clip_covers(step, wanted):
    assert sampled_span(config([step])) == wanted


@pytest.mark.parametrize(
    ('given', 'wanted'),
    [(dict(num_segments=16), 16), (dict(), 8)],  # 8 is TSMHead's default
)
def test_a_built_heads_segments_count_before_the_backbones(given, wanted):
    """As in the recipe of TSM with MobileOne and 16 segments."""
    init_default_scope('mmaction')
    model = MODELS.build(
        dict(
            type='Recognizer2D',
            backbone=dict(
                type='MobileNetV2TSM', num_segments=4, widen_factor=0.25
            ),
            cls_head=dict(
                type='TSMHead', num_classes=4, in_channels=1280, **given
            ),
        )
    )
    assert built_segments(model) == wanted
    assert built_segments(MODELS.build(recognizer())) is None


def test_the_validation_pipeline_is_read_without_a_training_one():
    steps = [dict(type='UniformSample', clip_len=4)]
    loader = dict(
        dataset=dict(type='RepeatDataset', dataset=dict(pipeline=steps))
    )
    whole = dict(model={}, val_dataloader=loader)
    assert read_clip_format(whole, 'NCTHW').num_frames == 4


@pytest.mark.parametrize(
    ('name', 'wanted'),
    [
        ('videofocalnet_base_ucf101', ClipFormat(8, (224, 224))),
        ('videofocalnet_base_demo', ClipFormat(8, (32, 32))),
    ],
)
def test_the_projects_recipes(name, wanted):
    recipe = Config.fromfile(find_config(f'configs/{name}.py'))
    assert read_clip_format(recipe, 'NCTHW') == wanted
