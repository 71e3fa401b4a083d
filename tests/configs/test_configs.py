"""Every config loads, builds, and says each thing once."""

import re
from pathlib import Path

import pytest
from mmaction.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmengine.config import Config
from project_configs import (
    CAUSAL,
    CLASSES,
    CONFIGS,
    EVERY,
    FULL_SIZE,
    LOADERS,
    VARIANTS,
    build_without_weights,
    load,
    split_name,
)

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.config_checks import (
    check_classes,
    check_keys,
    needed_paths,
)
from dvfl_mmaction.engine.options import apply_num_classes
from dvfl_mmaction.project_paths import find_config

SPLITS = dict(ucf50=1, ucf101=1, hmdb51=1, ssv2='official', k400='official')
# In millions: backbone, and head of K = 101 classes with weight (C x K) and
# bias (K).
PARAMETERS = dict(
    vflnet=22.2,
    videofocalnet_tiny=49.3,
    videofocalnet_small=88.5,
    videofocalnet_base=157.1,
)


def test_there_are_seven_configs_for_each_of_five_data_sets_and_the_demo():
    assert len(FULL_SIZE) == 25
    demo = [f'{variant}_demo.py' for variant in VARIANTS]
    assert sorted(FULL_SIZE + demo + CAUSAL) == EVERY


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
    wanted = PARAMETERS[re.sub('_causal|_kd', '', variant)]
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


@pytest.mark.parametrize('name', CAUSAL)
def test_a_streaming_config_is_causal_and_changes_nothing_else(name):
    cfg, plain = load(name), load(name.replace('_causal', ''))
    assert cfg.model.backbone.pop('temporal') == 'causal'
    assert cfg.to_dict() == plain.to_dict()


@pytest.mark.parametrize('dataset', CLASSES)
def test_the_distillation_is_the_papers_best(dataset):
    model = load(f'vflnet_kd_{dataset}.py').model
    assert model.alpha == 0.3
    assert model.loss_kd == dict(type='KLDivergenceLoss', temperature=10.0)
    teacher = f'videofocalnet_base_{dataset}'
    assert model.teacher == dict(
        config=f'configs/{teacher}.py', checkpoint=f'checkpoints/{teacher}.pth'
    )


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
def test_data_root_moves_only_its_loader_to_another_copy(loader, videos):
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
def test_own_data_of_7_classes_takes_seven_lines(name, videos, tmp_path):
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


@pytest.mark.parametrize('name', FULL_SIZE)
def test_one_option_sets_the_number_of_classes(name):
    cfg = load(name)
    cfg.merge_from_dict({'model.cls_head.num_classes': 7})
    check_classes(cfg)
    apply_num_classes(cfg)
    assert build_without_weights(cfg.model).cls_head.num_classes == 7
    blending = MODELS.build(cfg.model.data_preprocessor).blending
    assert blending.num_classes == 7
