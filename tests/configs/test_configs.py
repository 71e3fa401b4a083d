import argparse
import random
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmaction.structures import ActionDataSample
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.config_checks import (
    check_classes,
    check_keys,
    needed_paths,
)
from dvfl_mmaction.engine.options import apply_num_classes, apply_test_views
from dvfl_mmaction.project_paths import find_config

CONFIGS = Path(__file__).parents[2] / 'configs'
EVERY = [path.name for path in sorted(CONFIGS.glob('*.py'))]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
CLASSES = dict(ucf50=50, ucf101=101, hmdb51=51, ssv2=174, k400=400)
SPLITS = dict(ucf50=1, ucf101=1, hmdb51=1, ssv2='official', k400='official')
# Of the backbone, and the head's weight (C x K) and bias (K), in millions at
# K = 101.
PARAMETERS = dict(
    vflnet=22.2,
    videofocalnet_tiny=49.3,
    videofocalnet_small=88.5,
    videofocalnet_base=157.1,
)
VARIANTS = [*PARAMETERS, 'vflnet_kd']
# Those of the papers' recipe; the demo has pipelines of its own.
FULL_SIZE = [f'{v}_{d}.py' for v in VARIANTS for d in CLASSES]
# Variants of one data set have the same loaders: see below.
PLAIN = [f'vflnet_{dataset}.py' for dataset in CLASSES]


def load(name):
    return deepcopy(parse(name))


@cache
def parse(name):
    return Config.fromfile(CONFIGS / name)


def split_name(name):
    """'vflnet_kd_ucf101.py' -> ('vflnet_kd', 'ucf101')."""
    return name.removesuffix('.py').rsplit('_', 1)


def build_without_weights(model_cfg):
    """Shapes alone: the largest model is 630 MB of weights."""
    cfg = model_cfg.copy()
    cfg.data_preprocessor = dict(type='ActionDataPreprocessor')
    with torch.device('meta'):
        return MODELS.build(cfg)


def documented_options(key):
    """What the comment in the pipelines' file says to type, parsed as
    MMAction2's tools parse it; of options that begin with ``key``."""
    text = (CONFIGS / '_base_/datasets/clips_8x224.py').read_text()
    words = re.findall(rf'^# .*?({key}[^\s"]*=[^\s"]+)', text, re.MULTILINE)
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """A data_root with a video, 40 frames of 320 x 240, and its list."""
    folder = tmp_path_factory.mktemp('data')
    (folder / 'videos').mkdir()
    writer = cv2.VideoWriter(
        str(folder / 'videos' / 'clip.mp4'),
        cv2.VideoWriter_fourcc(*'mp4v'),
        25,
        (320, 240),
    )
    rng = np.random.default_rng(0)
    for level in range(40, 240, 5):
        frame = rng.integers(0, 16, (240, 320, 3), np.uint8)
        frame[:, : level + 40] += np.uint8(level)
        writer.write(frame)
    writer.release()
    (folder / 'list.txt').write_text('clip.mp4 3\n')
    return folder


def read(cfg, loader, videos):
    """The first sample of a loader's data set, over our one video."""
    dataset = cfg[loader].dataset.copy()
    dataset.update(data_root=str(videos), ann_file='list.txt')
    return DATASETS.build(dataset)[0]


def test_there_are_five_configs_for_each_of_five_data_sets_and_the_demo():
    assert len(FULL_SIZE) == 25
    demo = [f'{variant}_demo.py' for variant in VARIANTS]
    assert sorted(FULL_SIZE + demo) == EVERY


@pytest.mark.parametrize('name', EVERY)
def test_every_config_loads_and_builds(name):
    cfg = load(name)
    check_keys(cfg)
    model = build_without_weights(cfg.model)
    variant, dataset = split_name(name)
    if dataset != 'demo':
        check_size(model, variant, CLASSES[dataset])
        assert cfg.model.cls_head.average_clips == 'prob'
    for loader in LOADERS:
        for step in cfg[loader].dataset.pipeline:
            TRANSFORMS.build(step)
    METRICS.build(cfg.val_evaluator)
    METRICS.build(cfg.test_evaluator)
    apply_num_classes(cfg)
    blending = MODELS.build(cfg.model.data_preprocessor).blending
    assert blending is None or (
        blending.num_classes == model.cls_head.num_classes
    )
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline
    assert cfg.runner_type == 'CheckedRunner' and cfg.prepare_command


def check_size(model, variant, classes):
    """Classes and parameters are the paper's."""
    head = model.cls_head
    assert head.num_classes == classes
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    extra = (classes - 101) * (head.in_channels + 1) / 1e6
    wanted = PARAMETERS[variant.replace('_kd', '')]
    assert millions - extra == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize('name', [n for n in EVERY if '_kd_' in n])
def test_a_distilling_config_adds_the_teacher_and_nothing_else(name):
    cfg, plain = load(name), load(name.replace('_kd', ''))
    assert cfg.model.pop('type') == 'DistillRecognizer3D'
    assert plain.model.pop('type') == 'Recognizer3D'
    teacher = Config.fromfile(find_config(cfg.model.pop('teacher').config))
    assert teacher.model.cls_head.num_classes == cfg.model.cls_head.num_classes
    loss_kd = cfg.model.pop('loss_kd')
    assert MODELS.build(loss_kd).temperature == loss_kd.temperature
    assert 0 < cfg.model.pop('alpha') < 1
    assert cfg.default_hooks.pop('teacher_accuracy') == dict(
        type='TeacherAccuracyHook'
    )
    assert cfg.to_dict() == plain.to_dict()
    lines = (CONFIGS / name).read_text().splitlines()
    assert len(lines) <= 12


@pytest.mark.parametrize('dataset', CLASSES)
def test_the_distillation_is_the_papers_best(dataset):
    model = load(f'vflnet_kd_{dataset}.py').model
    assert model.alpha == 0.3
    assert model.loss_kd == dict(type='KLDivergenceLoss', temperature=10.0)
    teacher = f'videofocalnet_base_{dataset}'
    assert model.teacher == dict(
        config=f'configs/{teacher}.py', checkpoint=f'checkpoints/{teacher}.pth'
    )


@pytest.mark.parametrize('name', PLAIN)
def test_a_training_clip_is_8_frames_of_224(name, videos):
    sample = read(load(name), 'train_dataloader', videos)
    assert sample['inputs'].shape == (1, 3, 8, 224, 224)
    assert sample['inputs'].dtype == torch.uint8
    assert sample['data_samples'].gt_label.tolist() == [3]


@pytest.mark.parametrize('name', PLAIN)
def test_1x1_and_4x3_views_are_the_same_each_time(name, videos):
    cfg = load(name)
    for num_views in (1, 12):
        views, again = (
            read(cfg, 'test_dataloader', videos)['inputs'] for _ in range(2)
        )
        assert views.shape == (num_views, 3, 8, 224, 224)
        assert torch.equal(views, again)
        assert len(views.unique(dim=0)) == num_views
        cfg.merge_from_dict(documented_options('test_views'))
        apply_test_views(cfg)
    assert cfg.val_dataloader.dataset.pipeline[1].num_clips == 1
    assert cfg.val_dataloader.dataset.pipeline[4].type == 'CenterCrop'


@pytest.mark.parametrize('step', ['1', '0', '2'])
def test_the_documented_options_set_all_three_loaders(step, videos):
    cfg = load('vflnet_ucf101.py')
    options = documented_options(rf'train_dataloader\S*pipeline\.{step}')
    assert len(options) == (2 if step == '1' else 1)
    for key, value in options.items():
        for loader in LOADERS:
            cfg.merge_from_dict(
                {key.replace('train_dataloader', loader): value}
            )
    if step == '1':
        for loader in LOADERS:
            shape = read(cfg, loader, videos)['inputs'].shape
            assert shape == (1, 3, 8, 224, 224)


def test_decord_gives_the_same_samples(videos):
    cfg = load('vflnet_ucf101.py')
    ours = read(cfg, 'test_dataloader', videos)['inputs']
    for step in (0, 2):
        cfg.merge_from_dict(
            {
                key.replace('train', 'test'): value
                for key, value in documented_options(
                    rf'train_dataloader\S*pipeline\.{step}'
                ).items()
            }
        )
    steps = cfg.test_dataloader.dataset.pipeline
    assert [steps[0].type, steps[2].type] == ['DecordInit', 'DecordDecode']
    decords = read(cfg, 'test_dataloader', videos)['inputs']
    assert torch.equal(ours, decords)


def training_sample(cfg, videos):
    random.seed(3)
    np.random.seed(3)
    return read(cfg, 'train_dataloader', videos)


def test_decord_gives_the_same_training_clips(videos):
    cfg = load('vflnet_ucf101.py')
    ours = training_sample(cfg, videos)
    for step in (0, 2):
        cfg.merge_from_dict(
            documented_options(rf'train_dataloader\S*pipeline\.{step}')
        )
    types = [s.type for s in cfg.train_dataloader.dataset.pipeline]
    assert types[0] == 'DecordInit' and types[2] == 'DecordDecode'
    decords = training_sample(cfg, videos)
    assert torch.equal(ours['inputs'], decords['inputs'])
    changes = ours['data_samples'].color_changes
    assert changes == decords['data_samples'].color_changes


def test_colours_are_the_same_wherever_they_are_changed(videos):
    cfg = load('vflnet_ucf101.py')
    preprocessor = MODELS.build(dict(cfg.model.data_preprocessor))
    preprocessor.blending = None
    device = training_sample(cfg, videos)
    options = documented_options(r'train_dataloader\S*pipeline\.[89]')
    assert list(options.values()) == [False, False]
    cfg.merge_from_dict(options)
    worker = training_sample(cfg, videos)
    assert device['data_samples'].get('color_changes')
    assert not worker['data_samples'].get('color_changes')
    clips = [
        preprocessor(pseudo_collate([sample]), training=True)['inputs']
        for sample in (device, worker)
    ]
    # In levels of 255; three channels' deviations are about 58 each.
    assert (clips[0] - clips[1]).abs().mean() * 58 < 1


def test_a_training_clip_is_what_steps_that_are_not_lazy_give(videos):
    cfg = load('vflnet_ucf101.py')
    for step in (8, 9):  # no colours
        cfg.train_dataloader.dataset.pipeline[step].prob = 0
    lazy = training_sample(cfg, videos)['inputs'].float()
    steps = cfg.train_dataloader.dataset.pipeline
    assert steps.pop(7).type == 'Fuse'
    for step in steps[3:7]:
        assert step.pop('lazy')
    other = training_sample(cfg, videos)['inputs'].float()
    # The same crop, interpolated once in place of twice.
    assert (lazy - other).abs().mean() < 4
    assert (lazy - other.flip(-1)).abs().mean() > 10


def test_mixup_or_cutmix_makes_soft_labels():
    cfg = load('vflnet_ucf101.py')
    apply_num_classes(cfg)
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    clips = torch.randint(0, 256, (4, 1, 3, 2, 16, 16), dtype=torch.uint8)
    plain = preprocessor(batch(clips), training=False)['inputs']
    num_mixup = 0
    for _ in range(60):
        data = preprocessor(batch(clips), training=True)
        labels = torch.stack([s.gt_label for s in data['data_samples']])
        assert labels.shape == (4, 101)
        assert torch.allclose(labels.sum(1), torch.ones(4))
        assert labels[:, 4:].eq(0).all()
        # CutMix moves pixels, mixup makes new ones.
        moved = torch.isin(data['inputs'], plain).all()
        num_mixup += not moved
    assert 15 < num_mixup < 45


def batch(clips):
    samples = [ActionDataSample().set_gt_label(i) for i in range(len(clips))]
    return dict(inputs=list(clips), data_samples=samples)


@pytest.mark.parametrize('name', FULL_SIZE)
def test_each_list_and_folder_is_of_the_chosen_split(name):
    _, dataset = split_name(name)
    cfg, root = load(name), f'data/{dataset}'
    assert cfg.prepare_command == (
        f'python tools/prepare_dataset.py {dataset} --root {root}'
    )
    for loader, part in zip(LOADERS, ('train', 'val', 'val'), strict=True):
        # What CheckedRunner looks for before it builds anything.
        assert [str(p) for p in needed_paths(cfg[loader].dataset)] == [
            f'{root}/{dataset}_{part}_split_{SPLITS[dataset]}_videos.txt',
            f'{root}/videos',
        ]


def test_the_demo_has_a_list_of_each_part():
    cfg = load('vflnet_demo.py')
    for loader, part in zip(LOADERS, ('train', 'val', 'test'), strict=True):
        paths = [str(p) for p in needed_paths(cfg[loader].dataset)]
        assert paths == [f'data/demo/{part}.txt', 'data/demo/videos']


@pytest.mark.parametrize('loader', LOADERS)
def test_data_root_alone_moves_a_loader_to_another_copy(loader, videos):
    cfg = load('vflnet_ucf101.py')
    (videos / cfg[loader].dataset.ann_file).write_text('clip.mp4 5\n')
    cfg.merge_from_dict({f'{loader}.dataset.data_root': str(videos)})
    for other in LOADERS:
        moved = cfg[other].dataset.data_root == str(videos)
        assert moved == (other == loader)
    dataset = DATASETS.build(cfg[loader].dataset)
    assert list(needed_paths(cfg[loader].dataset)) == [
        Path(dataset.ann_file),
        Path(dataset.data_prefix['video']),
    ]
    assert dataset[0]['data_samples'].gt_label.tolist() == [5]


@pytest.mark.parametrize('name', FULL_SIZE)
def test_a_variant_changes_no_loader(name):
    _, dataset = split_name(name)
    cfg, plain = load(name), load(f'vflnet_{dataset}.py')
    for loader in LOADERS:
        assert cfg[loader] == plain[loader]


@pytest.mark.parametrize('name', PLAIN)
def test_clips_of_something_something_alone_are_never_flipped(name):
    pipeline = load(name).train_dataloader.dataset.pipeline
    flip = TRANSFORMS.build(pipeline[6])
    num_flipped = 0
    for _ in range(400):
        clip = dict(imgs=[np.zeros((4, 4, 3), np.uint8)], modality='RGB')
        num_flipped += flip(clip)['flip']
    if 'ssv2' in name:
        assert num_flipped == 0
    else:
        assert 140 < num_flipped < 260  # 6 standard deviations
    # It is the one difference, and no step has another number.
    first = load(PLAIN[0]).train_dataloader.dataset.pipeline
    pipeline[6].flip_ratio = first[6].flip_ratio
    assert pipeline == first


OWN_DATA = """
_base_ = '{configs}/{name}'
model = dict(cls_head=dict(num_classes=7))
train_dataloader = dict(
    dataset=dict(data_root='{videos}', ann_file='list.txt'))
val_dataloader = train_dataloader
test_dataloader = train_dataloader
"""
OWN_TEACHER = "model['teacher'] = dict(config='t.py', checkpoint='t.pth')"


@pytest.mark.parametrize('name', ['vflnet_ucf101.py', 'vflnet_kd_ucf101.py'])
def test_own_data_of_other_classes_takes_seven_lines(name, videos, tmp_path):
    text = OWN_DATA.format(configs=CONFIGS, name=name, videos=videos)
    if '_kd_' in name:
        text += OWN_TEACHER
    (tmp_path / 'own.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'own.py')
    check_classes(cfg)
    apply_num_classes(cfg)
    model = build_without_weights(cfg.model)
    assert model.cls_head.fc_cls.out_features == 7
    assert MODELS.build(cfg.model.data_preprocessor).blending.num_classes == 7
    for loader in LOADERS:
        sample = DATASETS.build(cfg[loader].dataset)[0]
        assert sample['inputs'].shape == (1, 3, 8, 224, 224)
    if '_kd_' in name:
        assert cfg.model.teacher == dict(config='t.py', checkpoint='t.pth')
        assert cfg.model.alpha == 0.3


@pytest.mark.parametrize('number, wanted', [(7, 7), (101, UserError)])
def test_a_leaf_may_set_the_blending_as_well(number, wanted, tmp_path):
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{CONFIGS}/vflnet_ucf101.py'\n"
        'model = dict(\n'
        '    cls_head=dict(num_classes=7),\n'
        '    data_preprocessor=dict(blending=dict('
        f'num_classes={number})))\n'
    )
    cfg = Config.fromfile(tmp_path / 'own.py')
    if wanted is UserError:
        with pytest.raises(UserError, match='num_classes is 7 but .* is 101'):
            check_classes(cfg)
        return
    check_classes(cfg)
    apply_num_classes(cfg)
    assert cfg.model.data_preprocessor.blending.num_classes == wanted


def test_the_number_of_classes_stands_once_per_data_set():
    assert not [
        path.name
        for path in CONFIGS.glob('*.py')
        if 'num_classes' in path.read_text()
    ]
    for path in (CONFIGS / '_base_' / 'datasets').glob('*.py'):
        numbers = re.findall(r'num_classes = (\d+)', path.read_text())
        assert len(numbers) == (path.name != 'clips_8x224.py')
