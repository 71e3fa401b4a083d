"""Multiply-adds and parameters of a recognizer."""

from dataclasses import dataclass

import torch
from mmaction.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .sample_input import sample_batch


@dataclass
class Complexity:
    """Of one clip, all its views together.

    Attributes:
        parameters: Of backbone, neck and head.
        macs: Multiply-adds of convolutions and matrix products, not FLOPs,
            of which one has two.
        shape: Of the input, without the batch.
    """

    parameters: int
    macs: int
    shape: tuple[int, ...]


def complexity(cfg: dict, num_classes: int | None = None) -> Complexity:
    """Count a config's model, backbone and head, on the input of its test.

    Args:
        cfg: Any MMAction2 config that reads videos.
        num_classes: Classes of the head; the config's own if None.
    """
    model = build_model(cfg, num_classes).eval()
    batch = model.data_preprocessor(sample_batch(cfg, 1), training=False)
    # Shapes alone, and the plain formulation: fast paths are for devices.
    inputs, model = batch['inputs'].to('meta'), model.to('meta')
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        feats, kwargs = model.extract_feat(inputs, test_mode=True)
        model.cls_head(feats, **kwargs)
    return Complexity(
        sum(p.numel() for p in model.parameters()),
        counter.get_total_flops() // 2,  # it counts two a multiply-add
        tuple(inputs.shape[1:]),
    )


def build_model(cfg: dict, num_classes: int | None = None) -> nn.Module:
    """The plain recognizer of a config, a distiller's student included."""
    model = dict(cfg['model'])
    for key in ('teacher', 'alpha', 'loss_kd'):
        model.pop(key, None)
    model['type'] = model['type'].replace('Distill', '')
    backbone = dict(model['backbone'])
    if 'pretrained' in backbone:
        backbone['pretrained'] = None  # weights that nobody asks for
    model['backbone'] = backbone
    if num_classes is not None:
        model['cls_head'] = dict(model['cls_head'], num_classes=num_classes)
    preprocessor = dict(model.get('data_preprocessor') or {})
    preprocessor.pop('blending', None)
    model['data_preprocessor'] = preprocessor or None
    return MODELS.build(model)
