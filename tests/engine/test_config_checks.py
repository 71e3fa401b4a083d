"""Checks of a config, one by one."""

from pathlib import Path

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.config_checks import (
    check_classes,
    check_colors,
    check_keys,
    needed_paths,
)


@pytest.mark.parametrize(
    'key, meant',
    [
        ('train_cgf', 'train_cfg'),
        ('param_schedulers', 'param_scheduler'),
        ('optim_wraper', 'optim_wrapper'),
        ('custom_hook', 'custom_hooks'),
    ],
)
def test_a_misspelt_key_is_refused(key, meant):
    with pytest.raises(UserError, match=f"'{key}' .* did you mean '{meant}'"):
        check_keys({'model': {}, key: {}})


def test_other_keys_are_accepted():
    own = ('train_pipeline', 'num_classes', 'data_root', 'clip_len', 'lr')
    check_keys(dict.fromkeys(own))


def test_class_counts_that_differ_are_refused():
    model = dict(
        cls_head=dict(num_classes=10),
        data_preprocessor=dict(blending=dict(num_classes=101)),
    )
    with pytest.raises(UserError, match='is 10 but .*blending.* is 101'):
        check_classes(dict(model=model))
    model['data_preprocessor']['blending'] = None
    check_classes(dict(model=model))
    check_classes(dict(model=dict(cls_head=dict(num_classes=10))))


def test_deferred_colours_that_nothing_applies_are_refused():
    steps = [
        dict(type='ClipColorJitter', deferred=True),
        dict(type='PackActionInputs', meta_keys=('color_changes',)),
    ]
    cfg = dict(
        model=dict(data_preprocessor=dict(type='ClipDataPreprocessor')),
        train_dataloader=dict(dataset=dict(pipeline=steps)),
    )
    check_colors(cfg)
    cfg['model']['data_preprocessor']['type'] = 'ActionDataPreprocessor'
    with pytest.raises(UserError, match='set its type to Clip'):
        check_colors(cfg)
    steps[0]['deferred'] = False
    check_colors(cfg)
    cfg['model']['data_preprocessor']['type'] = 'ClipDataPreprocessor'
    steps[0]['deferred'] = True
    del steps[1]['meta_keys']
    with pytest.raises(UserError, match='drops its draws'):
        check_colors(cfg)


def test_wrapped_data_sets_are_searched():
    leaf = dict(
        type='VideoDataset',
        ann_file='train.txt',
        data_root='/data',
        data_prefix=dict(video='videos'),
    )
    other = dict(ann_file='/else/list.txt', data_prefix=dict(video=''))
    wrapped = dict(
        type='RepeatDataset',
        dataset=dict(type='ConcatDataset', datasets=[leaf, other]),
    )
    assert [str(p) for p in needed_paths(wrapped)] == [
        '/data/train.txt',
        '/data/videos',
        '/else/list.txt',
    ]


def test_remote_paths_are_skipped():
    leaf = dict(
        data_root='s3://bucket/ucf101',
        ann_file='/lists/train.txt',
        data_prefix=dict(video='videos'),
    )
    assert list(needed_paths(leaf)) == [Path('/lists/train.txt')]
    leaf |= dict(data_root='/data', data_prefix=dict(video='s3://bucket'))
    assert list(needed_paths(leaf)) == [Path('/lists/train.txt')]
