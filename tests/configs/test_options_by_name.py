"""Options by name, applied to the configs."""

import random
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from mmengine.config import Config
from project_configs import CAUSAL, EVERY, LOADERS, load, read_sample

from dvfl_mmaction.engine.clip_options import DECODERS
from dvfl_mmaction.engine.config_checks import check_keys, check_schedule
from dvfl_mmaction.engine.options import apply_options

# Those of the streaming student have the same pipelines and schedules.
CONFIGS = [name for name in EVERY if name not in CAUSAL]
OPTIONS = dict(
    clip_size=64,
    clip_len=12,
    frame_interval=2,
    epochs=4,
    decoder='decord',
    test_views='2x3',
)
LEAF = """
_base_ = '{base}'
clip_size = 48
train_dataloader = dict(dataset=dict(ann_file='mine.txt'))
epochs = 2
"""


def steps_by_type(steps):
    return {step['type']: step for step in steps}


def with_options(cfg, **options):
    cfg.merge_from_dict(options)
    check_keys(cfg)
    apply_options(cfg)
    check_schedule(cfg)
    return cfg


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_takes_every_option(name):
    plain, cfg = load(name), with_options(load(name), **OPTIONS)
    is_demo = name.endswith('_demo.py')
    short_side = 64 if is_demo else round(256 * 64 / 224)
    for loader in LOADERS:
        steps = cfg[loader].dataset.pipeline
        assert len(steps) == len(plain[loader].dataset.pipeline)
        assert [steps[0].type, steps[2].type] == ['DecordInit', 'DecordDecode']
        sample = steps_by_type(steps)['SampleFrames']
        assert (sample.clip_len, sample.frame_interval) == (12, 2)
    for loader in ('train_dataloader', 'val_dataloader'):
        steps = cfg[loader].dataset.pipeline
        assert steps[3].scale == (-1, short_side)
        if loader == 'train_dataloader' and not is_demo:
            assert steps[5].scale == (64, 64)
        else:
            assert steps[4].crop_size == 64
    steps = steps_by_type(cfg.test_pipeline)
    assert steps['SampleFrames'].num_clips == 2
    assert steps['Resize'].scale == (-1, 64)
    assert steps['ThreeCrop'].crop_size == 64
    for part in ('train', 'val', 'test'):
        loader = cfg[f'{part}_dataloader']
        assert cfg[f'{part}_pipeline'] == loader.dataset.pipeline
    check_epochs(cfg, plain, 4)
    # The model, and with it the teacher, stays.
    plain.merge_from_dict(OPTIONS)
    blending = plain.model.data_preprocessor.get('blending')
    if blending:
        blending.num_classes = plain.model.cls_head.num_classes
    assert cfg.model == plain.model
    assert with_options(deepcopy(cfg)).to_dict() == cfg.to_dict()


def check_epochs(cfg, plain, epochs):
    """The schedule has the same proportions."""
    share = epochs / plain.train_cfg.max_epochs
    assert cfg.train_cfg.max_epochs == epochs
    warmup, cosine = cfg.param_scheduler
    old_warmup, old_cosine = plain.param_scheduler
    assert warmup.end == pytest.approx(old_warmup.end * share, abs=0.5)
    assert cosine.begin == pytest.approx(old_cosine.begin * share, abs=0.5)
    assert cosine.end == epochs
    for new, old in zip((warmup, cosine), plain.param_scheduler, strict=True):
        assert new.type == old.type
        assert new.get('start_factor') == old.get('start_factor')


@pytest.mark.parametrize('name', CONFIGS)
def test_without_options_a_config_keeps_its_clips_and_schedule(name):
    plain, cfg = load(name), with_options(load(name))
    for key in (*LOADERS, 'test_pipeline', 'train_cfg', 'param_scheduler'):
        assert cfg[key] == plain[key]


@pytest.mark.parametrize('name', ['vflnet_kd_ucf101.py', 'vflnet_kd_demo.py'])
def test_a_users_config_sets_options_as_variables(name, tmp_path):
    base = load(name).filename
    (tmp_path / 'mine.py').write_text(LEAF.format(base=base))
    cfg = with_options(Config.fromfile(tmp_path / 'mine.py'))
    assert cfg.train_dataloader.dataset.ann_file == 'mine.txt'
    assert cfg.test_pipeline[4].crop_size == 48
    assert cfg.train_cfg.max_epochs == 2
    # What the runner dumps can be loaded, and means the same.
    cfg.dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    assert dumped.to_dict() == cfg.to_dict()
    assert with_options(dumped).to_dict() == cfg.to_dict()


@pytest.mark.parametrize('name', ['vflnet_kd_ssv2.py', 'vflnet_demo.py'])
def test_clips_have_the_size_and_length_of_the_options(name, videos):
    cfg = with_options(load(name), **OPTIONS)
    for loader, views in zip(LOADERS, (1, 1, 6), strict=True):
        shape = read_sample(cfg, loader, videos)['inputs'].shape
        assert shape == (views, 3, 12, 64, 64)


@pytest.fixture(scope='module')
def clips_of(videos):
    """Returns a training clip with its colour changes, and a test clip."""

    def read(decoder):
        cfg = with_options(
            load('vflnet_ucf101.py'), clip_size=64, decoder=decoder
        )
        random.seed(3)
        np.random.seed(3)
        train = read_sample(cfg, 'train_dataloader', videos)
        test = read_sample(cfg, 'test_dataloader', videos)
        changes = train['data_samples'].get('color_changes')
        return train['inputs'].float(), test['inputs'].float(), changes

    return cache(read)


@pytest.mark.parametrize('decoder', [d for d in DECODERS if d != 'clip'])
def test_every_decoder_gives_the_same_clips(decoder, clips_of):
    *ours, changes = clips_of('clip')
    *theirs, their_changes = clips_of(decoder)
    assert changes and changes == their_changes
    for clip, other in zip(ours, theirs, strict=True):
        # OpenCV converts colours with another rounding.
        bound = 2 if decoder == 'opencv' else 0
        assert (clip - other).abs().mean() <= bound
