"""Multiply-adds and parameters of a recognizer."""

from dataclasses import dataclass

import torch
from mmaction.models import BaseRecognizer
from mmaction.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..engine.config_checks import type_name
from ..errors import UserError
from .sample_input import sample_batch


@dataclass
class Complexity:
    """Counts of a recognizer for one clip, all its views together.

    Attributes:
        parameters: Parameters of backbone, neck and head.
        macs: Multiply-adds of convolutions and matrix products. One
            multiply-add is two FLOPs.
        shape: Shape of the input, without the batch.
    """

    parameters: int
    macs: int
    shape: tuple[int, ...]


def complexity(cfg: dict, num_classes: int | None = None) -> Complexity:
    """Count the model of a config, head included, on its test input.

    Args:
        cfg: Any MMAction2 config that reads videos.
        num_classes: Classes of the head; None keeps the config's.

    Raises:
        UserError: If it is not the config of a recognizer that reads videos,
            or its head has no number of classes to replace.
    """
    head = cfg['model'].get('cls_head') or {}
    if num_classes is not None and 'num_classes' not in head:
        raise UserError(
            f'the head of the config, {type_name(head) or None}, has no '
            'num_classes to replace; leave out --num-classes'
        )
    model = build_model(cfg, num_classes).eval() if head else None
    if not isinstance(model, BaseRecognizer):
        raise UserError(
            f'the model of the config, {type_name(cfg["model"])}, is not a '
            'recognizer with one head, cls_head; give the config of one'
        )
    batch = model.data_preprocessor(sample_batch(cfg, 1), training=False)
    # Meta tensors carry shapes only, and take the plain formulation: the fast
    # paths are for real devices.
    inputs, model = batch['inputs'].to('meta'), model.to('meta')
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        feats, kwargs = model.extract_feat(inputs, test_mode=True)
        model.cls_head(feats, **kwargs)
    return Complexity(
        sum(p.numel() for p in model.parameters()),
        counter.get_total_flops() // 2,  # two per multiply-add
        tuple(inputs.shape[1:]),
    )


def build_model(cfg: dict, num_classes: int | None = None) -> nn.Module:
    """Build a config's recognizer; of a distiller, the plain student.

    It has random weights and no blending.
    """
    model = dict(cfg['model'])
    for key in ('teacher', 'alpha', 'loss_kd'):
        model.pop(key, None)
    model['type'] = plain_type(model)
    backbone = dict(model['backbone'])
    if 'pretrained' in backbone:
        backbone['pretrained'] = None  # load no weights
    model['backbone'] = backbone
    if num_classes is not None:
        model['cls_head'] = dict(model['cls_head'], num_classes=num_classes)
    preprocessor = dict(model.get('data_preprocessor') or {})
    preprocessor.pop('blending', None)
    model['data_preprocessor'] = preprocessor or None
    return MODELS.build(model)


def plain_type(model: dict) -> str | type:
    """Type of a recognizer's config, that of the student for a distiller."""
    kind = model['type']
    name = kind if isinstance(kind, str) else kind.__name__
    return name.replace('Distill', '') if 'Distill' in name else kind
