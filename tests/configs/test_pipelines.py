"""Clips that the configs' pipelines make."""

import argparse
import random
import re

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS, TRANSFORMS
from mmaction.structures import ActionDataSample
from mmengine.config import DictAction
from mmengine.dataset import pseudo_collate
from project_configs import CONFIGS, PLAIN, load, read_sample

from dvfl_mmaction.engine.options import apply_num_classes, apply_test_views


def documented_options(key):
    """Options in the comment of clips_8x224.py that begin with ``key``,
    parsed as MMAction2's tools do."""
    text = (CONFIGS / '_base_/datasets/clips_8x224.py').read_text()
    words = re.findall(rf'^# .*?({key}[^\s"]*=[^\s"]+)', text, re.MULTILINE)
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


@pytest.mark.parametrize('name', PLAIN)
def test_a_training_clip_is_8_frames_of_224(name, videos):
    sample = read_sample(load(name), 'train_dataloader', videos)
    assert sample['inputs'].shape == (1, 3, 8, 224, 224)
    assert sample['inputs'].dtype == torch.uint8
    assert sample['data_samples'].gt_label.tolist() == [3]


@pytest.mark.parametrize('name', PLAIN)
def test_1x1_and_4x3_views_are_deterministic(name, videos):
    cfg = load(name)
    for num_views in (1, 12):
        views, again = (
            read_sample(cfg, 'test_dataloader', videos)['inputs']
            for _ in range(2)
        )
        assert views.shape == (num_views, 3, 8, 224, 224)
        assert torch.equal(views, again)
        assert len(views.unique(dim=0)) == num_views
        cfg.merge_from_dict(documented_options('test_views'))
        apply_test_views(cfg)
    assert cfg.val_dataloader.dataset.pipeline[1].num_clips == 1
    assert cfg.val_dataloader.dataset.pipeline[4].type == 'CenterCrop'


@pytest.mark.parametrize('name', PLAIN)
def test_validation_and_test_keep_every_clip(name):
    cfg = load(name)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert not loader.get('drop_last')
        assert not loader.sampler.shuffle
        assert not loader.sampler.get('round_up')
        assert loader.dataset.test_mode


def training_sample(cfg, videos):
    random.seed(3)
    np.random.seed(3)
    return read_sample(cfg, 'train_dataloader', videos)


def test_colours_are_the_same_on_the_device_and_in_the_worker(videos):
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


def test_lazy_steps_give_the_same_training_clip(videos):
    cfg = load('vflnet_ucf101.py')
    for step in (8, 9):  # no colours
        cfg.train_dataloader.dataset.pipeline[step].prob = 0
    lazy = training_sample(cfg, videos)['inputs'].float()
    steps = cfg.train_dataloader.dataset.pipeline
    assert steps.pop(7).type == 'Fuse'
    for step in steps[3:7]:
        assert step.pop('lazy')
    other = training_sample(cfg, videos)['inputs'].float()
    # The same crop, interpolated once instead of twice.
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
        # CutMix moves pixels, mixup makes new values.
        moved = torch.isin(data['inputs'], plain).all()
        num_mixup += not moved
    assert 15 < num_mixup < 45


def batch(clips):
    samples = [ActionDataSample().set_gt_label(i) for i in range(len(clips))]
    return dict(inputs=list(clips), data_samples=samples)


@pytest.mark.parametrize('name', PLAIN)
def test_only_clips_of_something_something_are_never_flipped(name):
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
    # This is the only difference, and all steps have the same index.
    first = load(PLAIN[0]).train_dataloader.dataset.pipeline
    pipeline[6].flip_ratio = first[6].flip_ratio
    assert pipeline == first
