"""A small classifier with clips, its config and its weights as files."""

import json

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_recipe import recipe, recognizer, write_dataset

from dvfl_mmaction.deployment.export import load_source
from dvfl_mmaction.files import hash_file

NAMES = ('left', 'right', 'up', 'down')


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    folder = write_dataset(tmp_path_factory.mktemp('clips'))
    (folder / 'classes.txt').write_text('\n'.join(NAMES))
    return folder


def write_source(folder, data, **backbone):
    """Config, weights and the results of a test; load them for export."""
    init_default_scope('mmaction')
    model = recognizer()
    model['backbone'] |= dict(init_cfg=[]) | backbone
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MODELS.build(model)
        network.cls_head.fc_cls.weight.data.mul_(10)
    checkpoint = folder / 'epoch_1.pth'
    torch.save(dict(state_dict=network.state_dict()), checkpoint)
    Config(recipe(model, data, folder)).dump(str(folder / 'config.py'))
    (folder / '20260101_000000').mkdir()
    results = dict(
        top1=87.5,
        clips=40,
        checkpoint=dict(sha256=hash_file(checkpoint)),
        versions={},
    )
    path = folder / '20260101_000000' / 'results.json'
    path.write_text(json.dumps(results))
    return load_source(str(folder / 'config.py'), str(checkpoint))


@pytest.fixture(scope='session')
def source(tmp_path_factory, data):
    """A model of whole clips, 4 frames of 32 x 32, 4 classes."""
    return write_source(tmp_path_factory.mktemp('clip_model'), data)


@pytest.fixture(scope='session')
def causal_source(tmp_path_factory, data):
    """Its causal form, with a mean over 3 frames."""
    folder = tmp_path_factory.mktemp('causal_model')
    return write_source(folder, data, temporal='causal', temporal_window=3)
