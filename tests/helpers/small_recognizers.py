"""Recognizers 8 channels wide, and their weights under both names."""

import torch
from mmaction.registry import MODELS

from dvfl_mmaction.checkpoints.architecture import ARCHS

NUM_CLASSES = 5


def narrow_config(arch='nano', **kwargs):
    """The config of an architecture's recognizer, 8 channels wide."""
    depths = ARCHS[arch]['depths']
    backbone = dict(
        type='VideoFocalNet', arch=dict(embed_dim=8, depths=depths), **kwargs
    )
    head = dict(
        type='I3DHead',
        num_classes=NUM_CLASSES,
        in_channels=64,
        average_clips=None,
    )
    return dict(type='Recognizer3D', backbone=backbone, cls_head=head)


def narrow(*args, **kwargs):
    """Build the recognizer of ``narrow_config``, with random weights."""
    return MODELS.build(narrow_config(*args, **kwargs))


def as_released(weights):
    """Rename weights as released; independent of the package's key map."""
    names = {
        'cls_head.fc_cls.weight': 'head.weight',
        'cls_head.fc_cls.bias': 'head.bias',
    }
    return {
        names.get(k, k.removeprefix('backbone.')): v
        for k, v in weights.items()
    }


def weights_of(path):
    loaded = torch.load(path, weights_only=True)
    return loaded.get('state_dict', loaded.get('model'))


def assert_same(weights, others):
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert torch.equal(value, others[name]), name
        assert value.dtype == others[name].dtype
