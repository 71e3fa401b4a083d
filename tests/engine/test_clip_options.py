"""Options that change the clips of all pipelines."""

import copy

import pytest
from mmaction.registry import TRANSFORMS

from dvfl_mmaction import UserError
from dvfl_mmaction.engine import clip_options
from dvfl_mmaction.engine.clip_options import (
    apply_clip_options,
    apply_pipeline_variables,
    apply_test_views,
)
from dvfl_mmaction.engine.options import apply_pipeline_options

TRAIN = [
    dict(type='DecordInit', num_threads=2),
    dict(type='UniformSample', clip_len=8, seed=3),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
]
TEST = [
    dict(type='mmaction.SampleFrames', clip_len=8, frame_interval=2),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(float('inf'), 256)),
    dict(type='CenterCrop', crop_size=224),
]


def config(train=TRAIN, val=TEST, test=TEST, **options):
    parts = dict(train=train, val=val, test=test)
    loaders = {
        f'{part}_dataloader': dict(dataset=dict(pipeline=steps))
        for part, steps in parts.items()
    }
    return copy.deepcopy(loaders) | options


def steps_of(cfg, part='train'):
    return cfg[f'{part}_dataloader']['dataset']['pipeline']


@pytest.mark.parametrize(
    ('size', 'short_side'), [(112, 128), (160, 183), (224, 256), (448, 512)]
)
def test_the_sizes_of_a_pipeline_keep_their_proportion(size, short_side):
    cfg = config(clip_size=size)
    apply_clip_options(cfg)
    train, test = steps_of(cfg), steps_of(cfg, 'test')
    assert train[3]['scale'] == (-1, short_side)
    assert train[4] == TRAIN[4]
    assert train[5]['scale'] == (size, size)
    assert test[2]['scale'] == (float('inf'), short_side)
    assert test[3]['crop_size'] == size


def test_other_crops_and_scales_follow():
    steps = [
        dict(type='RandomRescale', scale_range=(256, 320)),
        dict(type='RandomCrop', size=240),
        dict(type='MultiScaleCrop', input_size=(200, 200), scales=(1, 0.8)),
        dict(type='Resize', scale=0.5),
        dict(type='TenCrop', crop_size=160),
    ]
    cfg = config(steps, None, None, clip_size=80)
    apply_clip_options(cfg)
    assert steps_of(cfg) == [
        dict(type='RandomRescale', scale_range=(128, 160)),
        dict(type='RandomCrop', size=120),
        dict(type='MultiScaleCrop', input_size=(100, 100), scales=(1, 0.8)),
        dict(type='Resize', scale=0.5),
        dict(type='TenCrop', crop_size=80),
    ]


def test_steps_that_pipelines_share_are_changed_once():
    cfg = config(clip_size=112)
    shared = steps_of(cfg, 'test')[2]
    steps_of(cfg, 'val')[2] = shared
    apply_clip_options(cfg)
    for part in ('val', 'test'):
        assert steps_of(cfg, part)[2]['scale'] == (float('inf'), 128)


def test_wrapped_and_several_data_sets_are_changed():
    inner = dict(dataset=dict(pipeline=copy.deepcopy(TRAIN)))
    other = dict(pipeline=copy.deepcopy(TEST))
    dataset = dict(type='ConcatDataset', datasets=[inner, other])
    cfg = dict(train_dataloader=dict(dataset=dataset), clip_len=16)
    apply_clip_options(cfg)
    assert inner['dataset']['pipeline'][1]['clip_len'] == 16
    assert other['pipeline'][0]['clip_len'] == 16


def test_further_training_loaders_are_changed_and_pictures_stay_single():
    """Those of MultiLoaderEpochBasedTrainLoop."""
    single = copy.deepcopy(TRAIN)
    single[1]['clip_len'] = 1
    image = TRAIN[3:]
    others = [config(steps) for steps in (TRAIN, single, image)]
    others = [other['train_dataloader'] for other in others]
    cfg = config(clip_size=112, clip_len=4)
    cfg['train_cfg'] = dict(other_loaders=others)
    apply_clip_options(cfg)
    clips, frames, images = (o['dataset']['pipeline'] for o in others)
    assert clips == steps_of(cfg)
    assert (clips[1]['clip_len'], frames[1]['clip_len']) == (4, 1)
    assert clips[-1]['scale'] == frames[-1]['scale'] == (112, 112)
    assert images == frames[3:]


def test_a_stride_replaces_segments_and_other_strides():
    steps = copy.deepcopy(TRAIN)
    steps[1].update(num_clips=4, test_mode=True)
    cfg = config(steps, frame_interval=4)
    apply_clip_options(cfg)
    assert steps_of(cfg)[1] == dict(
        type='SampleFrames',
        clip_len=8,
        num_clips=4,
        test_mode=True,
        frame_interval=4,
    )
    assert steps_of(cfg, 'val')[0] == TEST[0] | dict(frame_interval=4)


@pytest.mark.parametrize('decoder', ['clip', 'pyav', 'opencv'])
def test_a_decoder_replaces_both_steps(decoder):
    cfg = config(val=TRAIN, test=TRAIN, decoder=decoder)
    apply_clip_options(cfg)
    for part in ('train', 'val', 'test'):
        steps = steps_of(cfg, part)
        assert (steps[0]['type'], steps[2]['type']) == (
            clip_options.DECODERS[decoder]
        )
        assert steps[0].keys() == {'type'}  # arguments of another class
        assert steps[1:2] + steps[3:] == TRAIN[1:2] + TRAIN[3:]


def test_a_decoder_that_is_used_already_keeps_its_arguments():
    cfg = config(val=None, test=None, decoder='decord')
    apply_clip_options(cfg)
    assert steps_of(cfg) == TRAIN


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('clip_size', 0),
        ('clip_size', '112'),
        ('clip_size', [112, 112]),
        ('clip_size', 112.5),
        ('clip_len', -8),
        ('clip_len', True),
        ('frame_interval', 0),
        ('decoder', 'cv2'),
        ('decoder', ['decord', 'pyav']),
    ],
)
def test_malformed_values_are_refused(option, value):
    with pytest.raises(UserError, match=f'^{option} is .*; give '):
        apply_clip_options(config(**{option: value}))


def test_a_decoder_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setitem(clip_options.MODULES, 'decord', 'not_installed')
    with pytest.raises(UserError, match='not_installed is not installed'):
        apply_clip_options(config(decoder='decord'))


@pytest.mark.parametrize(
    ('options', 'steps', 'lacks'),
    [
        (dict(clip_size=64), TRAIN[:5], 'a crop'),
        (
            dict(clip_size=64),
            [dict(type='Resize', scale=(32, 48), keep_ratio=False)],
            'a square output',
        ),
        (dict(clip_len=4), TRAIN[2:], 'a sampling step'),
        (
            dict(frame_interval=4),
            [dict(type='MySample', clip_len=4)],
            'one of UniformSample',
        ),
        (dict(decoder='pyav'), TEST, 'one of ClipInit'),
    ],
)
def test_a_pipeline_without_the_step_is_refused(options, steps, lacks):
    (name,) = options
    with pytest.raises(
        UserError,
        match=f'^{name} is .* of train_dataloader lacks {lacks}.*leave out',
    ):
        apply_clip_options(config(steps, **options))


def test_without_options_and_loaders_nothing_changes():
    for cfg in (config(), dict(clip_size=3, test_views='4x3')):
        before = copy.deepcopy(cfg)
        apply_clip_options(cfg)
        apply_test_views(cfg)
        assert cfg == before


@pytest.mark.parametrize('views', ['4', '0x1', '4x2', 'x3'])
def test_malformed_views_are_refused(views):
    with pytest.raises(UserError, match='give CLIPSxCROPS'):
        apply_test_views(dict(test_views=views))


def test_views_need_a_step_to_change():
    steps = [dict(type='UniformSample', clip_len=8), dict(type='Resize')]
    cfg = config(test=steps, test_views='2x3')
    with pytest.raises(UserError, match='lacks Resize and CenterCrop'):
        apply_test_views(cfg)


def test_three_crops_lie_along_the_long_side_of_the_clips_size():
    cfg = config(clip_size=112, clip_len=16, test_views='4x3')
    apply_pipeline_options(cfg)
    sample, _, resize, crop = steps_of(cfg, 'test')
    assert (sample['clip_len'], sample['num_clips']) == (16, 4)
    assert crop == dict(type='ThreeCrop', crop_size=112)
    assert resize['scale'] == (-1, 112)
    assert steps_of(cfg, 'val')[3]['type'] == 'CenterCrop'


def test_a_config_with_three_crops_can_be_tested_with_one():
    cfg = config(test_views='4x3')
    apply_pipeline_options(cfg)
    cfg.update(test_views='1x1', clip_size=112)
    apply_pipeline_options(cfg)
    assert steps_of(cfg, 'test') == [
        TEST[0] | dict(num_clips=1),
        TEST[1],
        dict(type='Resize', scale=(float('inf'), 128)),
        dict(type='CenterCrop', crop_size=112),
    ]


def test_one_crop_of_another_size_keeps_the_proportion_of_the_validation():
    three = dict(type='ThreeCrop', crop_size=112)
    steps = [*TEST[:2], dict(type='Resize', scale=(-1, 112)), three]
    cfg = config(test=steps, test_views='1x1')
    apply_pipeline_options(cfg)
    assert steps_of(cfg, 'test')[2:] == [
        dict(type='Resize', scale=(float('inf'), 128)),
        dict(type='CenterCrop', crop_size=112),
    ]


@pytest.mark.parametrize('pair', [(224, 224), [224, 224]])
def test_views_take_a_square_crop_as_a_pair(pair):
    steps = [*TEST[:3], TEST[3] | dict(crop_size=pair)]
    cfg = config(val=steps, test=steps, test_views='4x3')
    apply_pipeline_options(cfg)
    resize, crop = steps_of(cfg, 'test')[2:]
    assert resize['scale'] == (-1, 224)
    assert crop == dict(type='ThreeCrop', crop_size=pair)
    assert [TRANSFORMS.build(step) for step in (resize, crop)]
    cfg['test_views'] = '1x1'
    apply_pipeline_options(cfg)
    assert steps_of(cfg, 'test') == [TEST[0] | dict(num_clips=1), *steps[1:]]


def test_views_need_a_square_crop():
    wide = [*TEST[:3], TEST[3] | dict(crop_size=(224, 320))]
    three = [*TEST[:3], dict(type='ThreeCrop', crop_size=224)]
    for cfg, loader in (
        (config(test=wide, test_views='1x3'), 'test'),
        (config(val=wide, test=three, test_views='1x1'), 'val'),
    ):
        with pytest.raises(
            UserError,
            match=rf'of {loader}_dataloader lacks a square crop \(it is',
        ):
            apply_test_views(cfg)
    cfg = config(test=wide, test_views='4x1')
    apply_test_views(cfg)
    assert steps_of(cfg, 'test')[2:] == wide[2:]


def test_pipeline_variables_are_those_of_the_loaders():
    cfg = config(val_pipeline=[], clip_size=112)
    apply_pipeline_options(cfg)
    assert cfg['test_pipeline'] == steps_of(cfg, 'test')
    assert cfg['val_pipeline'] == steps_of(cfg, 'val')
    assert 'train_pipeline' not in cfg
    cfg['test_pipeline'][0]['clip_len'] = 99
    assert steps_of(cfg, 'test')[0]['clip_len'] == 8
    no_data = dict(test_dataloader=None)
    apply_pipeline_variables(no_data)
    assert no_data == dict(test_dataloader=None)
