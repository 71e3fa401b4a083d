"""The project's configs, and what tests of them share."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import torch
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'
EVERY = [path.name for path in sorted(CONFIGS.glob('*.py'))]
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
CLASSES = dict(ucf50=50, ucf101=101, hmdb51=51, ssv2=174, k400=400)
VARIANTS = [
    'vflnet',
    'videofocalnet_tiny',
    'videofocalnet_small',
    'videofocalnet_base',
    'vflnet_kd',
]
# The streaming student: in no paper, and with a leaf of its own that changes
# one key of the config without "causal".
CAUSAL = [
    f'{variant}_{dataset}.py'
    for variant in ('vflnet_causal', 'vflnet_causal_kd')
    for dataset in (*CLASSES, 'demo')
]
# Configs of the papers' recipe; the demo has other pipelines.
FULL_SIZE = [f'{v}_{d}.py' for v in VARIANTS for d in CLASSES]
# One config per data set: its variants have the same loaders.
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
    """Build shapes only: the largest model has 630 MB of weights."""
    cfg = model_cfg.copy()
    cfg.data_preprocessor = dict(type='ActionDataPreprocessor')
    with torch.device('meta'):
        return MODELS.build(cfg)


def read_sample(cfg, loader, videos):
    """The first sample of a loader's data set, with the test's video."""
    dataset = cfg[loader].dataset.copy()
    dataset.update(data_root=str(videos), ann_file='list.txt')
    return DATASETS.build(dataset)[0]
