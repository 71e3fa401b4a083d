"""Checks of a config, one by one."""

from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets import ClipDataset
from dvfl_mmaction.distillation import DistillRecognizer3D
from dvfl_mmaction.engine.config_checks import (
    check_batches,
    check_classes,
    check_colors,
    check_constructor,
    check_data,
    check_keys,
    check_labels,
    check_schedule,
    check_several_labels,
    check_training_views,
    needed_paths,
)
from dvfl_mmaction.models import ClipDataPreprocessor, VideoFocalNet


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


@pytest.mark.parametrize(
    'constructor',
    ['TSMOptimWrapperConstructor', 'LearningRateDecayOptimizerConstructor'],
)
def test_constructors_for_other_networks_are_refused(constructor):
    cfg = dict(
        model=dict(backbone=dict(type='VFLNetNano')),
        optim_wrapper=dict(constructor=constructor),
    )
    with pytest.raises(UserError, match='LayerDecayOptimWrapperConstructor'):
        check_constructor(cfg)
    cfg['optim_wrapper']['constructor'] = f'mmaction.{constructor}'
    for kind in ('VideoFocalNet', 'mmaction.VFLNetNano', VideoFocalNet):
        cfg['model']['backbone']['type'] = kind
        with pytest.raises(UserError, match=f'is {constructor}, which'):
            check_constructor(cfg)
    cfg['model']['backbone']['type'] = 'ResNetTSM'
    check_constructor(cfg)


def test_a_training_without_a_batch_is_refused():
    check_batches(DataLoader([1, 2, 3], batch_size=3, drop_last=True))
    check_batches(DataLoader([1, 2, 3], batch_size=4))
    short = DataLoader([1, 2, 3], batch_size=4, drop_last=True)
    with pytest.raises(UserError, match='3 clips, 4 per batch.* drop_last=Fa'):
        check_batches(short)


def test_parts_that_need_every_label_are_refused_for_a_list_without(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a.mp4 1\nb.mp4 -1\n')
    model = dict(
        type='DistillRecognizer3D',
        cls_head=dict(num_classes=7),
        data_preprocessor=dict(blending=dict(type='mmaction.MixupOrCutmix')),
    )
    dataset = dict(type='ClipDataset', ann_file=str(path))
    cfg = dict(model=model, train_dataloader=dict(dataset=dataset))
    check_data(cfg, ['train_dataloader'])
    blending = dict(type='mmaction.CutmixBlending')
    for part, message in (
        (dict(data_preprocessor=dict(blending=blending)), 'CutmixBlending'),
        (dict(neck=dict(aux_head_cfg=dict(loss_weight=1))), 'aux_head_cfg'),
    ):
        cfg['model'] = model | part
        path.write_text('a.mp4 1\nb.mp4 -1\n')
        with pytest.raises(UserError, match=f'as b.mp4, but .*{message} need'):
            check_data(cfg, ['train_dataloader'])
        path.write_text('a.mp4 1\nb.mp4 0\n')
        check_data(cfg, ['train_dataloader'])


def test_only_training_lists_may_have_clips_without_a_label(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a.mp4 1\nb.mp4 -1\n')
    loader = dict(dataset=dict(type='ClipDataset', ann_file=str(path)))
    model = dict(type='DistillRecognizer3D', cls_head=dict(num_classes=7))
    for part in ('val', 'test'):
        name = f'{part}_dataloader'
        with pytest.raises(UserError, match='has the label -1'):
            check_data({'model': model, name: loader}, [name])


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


def test_types_may_have_a_scope_or_be_classes(tmp_path):
    """As they are in configs of other OpenMMLab projects and in Python's."""
    step = dict(type='ClipGrayscale', deferred=True)
    pack = dict(type='PackActionInputs', meta_keys=('color_changes',))
    for kind in ('mmaction.ClipDataPreprocessor', ClipDataPreprocessor):
        model = dict(data_preprocessor=dict(type=kind))
        dataset = dict(pipeline=[step, pack])
        check_colors(dict(model=model, train_dataloader=dict(dataset=dataset)))
    path = tmp_path / 'list.txt'
    path.write_text('a.mp4 7\nb.mp4 -1\n')
    model = dict(cls_head=dict(num_classes=7))
    for kind in ('mmaction.ClipDataset', ClipDataset):
        dataset = dict(type=kind, ann_file=str(path))
        cfg = dict(model=model, train_dataloader=dict(dataset=dataset))
        for kind in ('mmaction.DistillRecognizer3D', DistillRecognizer3D):
            model['type'] = kind
            with pytest.raises(UserError, match='the model has 7 classes'):
                check_data(cfg, ['train_dataloader'])
        model['type'] = 'Recognizer3D'
        with pytest.raises(UserError, match='has the label -1'):
            check_data(cfg, ['train_dataloader'])


def test_further_training_loaders_are_checked(tmp_path):
    """Those of MultiLoaderEpochBasedTrainLoop."""
    step = dict(type='ClipGrayscale', deferred=True)
    dataset = dict(
        type='ClipDataset',
        ann_file=str(tmp_path / 'list.txt'),
        pipeline=[step, dict(type='PackActionInputs')],
    )
    cfg = dict(
        model=dict(
            cls_head=dict(num_classes=7),
            data_preprocessor=dict(type='ActionDataPreprocessor'),
        ),
        train_cfg=dict(other_loaders=[dict(dataset=dataset)]),
    )
    with pytest.raises(UserError, match='ClipGrayscale is deferred'):
        check_colors(cfg)
    missing = r'train_cfg.other_loaders.0 reads .*list.txt'
    with pytest.raises(UserError, match=missing):
        check_data(cfg, ['train_dataloader'])
    (tmp_path / 'list.txt').write_text('a.mp4 7\n')
    with pytest.raises(UserError, match='the model has 7 classes'):
        check_data(cfg, ['train_dataloader'])
    check_data(cfg, ['val_dataloader'])


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


def test_several_views_in_training_are_refused():
    step = dict(type='UniformSample', clip_len=8, num_clips=2)
    cfg = dict(
        model=dict(type='DistillRecognizer3D'),
        train_dataloader=dict(dataset=dict(dataset=dict(pipeline=[step]))),
    )
    with pytest.raises(UserError, match='num_clips of UniformSample is 2'):
        check_training_views(cfg)
    inner = cfg['train_dataloader']['dataset']
    cfg['train_dataloader']['dataset'] = dict(datasets=[inner, inner])
    with pytest.raises(UserError, match='num_clips of UniformSample is 2'):
        check_training_views(cfg)
    cfg['model']['type'] = 'Recognizer2D'  # segments of one view
    check_training_views(cfg)
    step['num_clips'] = 1
    cfg['model']['type'] = 'Recognizer3D'
    check_training_views(cfg)


def test_numbers_of_classes_that_differ_with_several_labels_are_refused():
    dataset = dict(type='ClipDataset', multi_class=True, num_classes=5)
    cfg = dict(
        model=dict(cls_head=dict(num_classes=4)),
        val_dataloader=dict(dataset=dataset),
    )
    loop = dict(other_loaders=[cfg['val_dataloader']])
    for loaders, name in (
        (dict(val_dataloader=cfg['val_dataloader']), 'val_dataloader'),
        (dict(test_dataloader=cfg['val_dataloader']), 'test_dataloader'),
        (dict(train_cfg=loop), 'train_cfg.other_loaders.0'),
    ):
        with pytest.raises(
            UserError, match=f'{name}.* num_classes 5 but .* is 4'
        ):
            check_several_labels(dict(model=cfg['model']) | loaders)
    dataset['num_classes'] = 4
    check_several_labels(cfg)


def test_several_labels_of_one_class_are_refused():
    dataset = dict(type='VideoDataset', multi_class=True, num_classes=1)
    cfg = dict(
        model=dict(cls_head=dict(num_classes=1)),
        val_dataloader=dict(dataset=dataset),
    )
    with pytest.raises(UserError, match='val_dataloader.* num_classes 1, but'):
        check_several_labels(cfg)
    del dataset['multi_class']
    check_several_labels(cfg)


def test_several_labels_beyond_the_models_classes_are_refused(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a.mp4,1,7\nb.mp4,2\n')
    layout = dict(delimiter=',', multi_class=True)
    check_labels(path, 8, **layout)
    with pytest.raises(UserError, match='a.mp4 with 7 but .* 7 classes'):
        check_labels(path, 7, **layout)
    dataset = dict(type='ClipDataset', ann_file=str(path)) | layout
    cfg = dict(
        model=dict(cls_head=dict(num_classes=8)),
        test_dataloader=dict(dataset=dataset),
    )
    check_data(cfg, ['test_dataloader'])
    cfg['model']['cls_head']['num_classes'] = 7
    with pytest.raises(UserError, match='a.mp4 with 7 but .* 7 classes'):
        check_data(cfg, ['test_dataloader'])


def test_a_schedule_that_ends_before_it_begins_is_refused():
    warm_up = dict(type='LinearLR', end=20)
    cosine = dict(type='CosineAnnealingLR', begin=20, end=3)
    cfg = dict(param_scheduler=[warm_up, cosine])
    with pytest.raises(UserError, match='1 begins at 20 and ends at 3'):
        check_schedule(cfg)
    warm_up['end'] = cosine['begin'] = 1
    check_schedule(cfg)
    check_schedule(dict(param_scheduler=dict(type='ConstantLR')))
    check_schedule({})
    cosine['begin'] = 20
    with pytest.raises(UserError, match='param_scheduler begins at 20 and'):
        check_schedule(dict(param_scheduler=cosine))
