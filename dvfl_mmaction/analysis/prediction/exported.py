"""Predict with an exported model in place of a checkpoint."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor

from ...deployment.exported_model import ExportedModel, load_exported
from ...deployment.package_config import SCOPE, check_types, known_types
from ...distillation.fingerprint import to_text
from ...engine.clip_options import CHANGES
from ...engine.config_checks import type_name
from ...engine.options import apply_pipeline_options
from ...errors import UserError
from ...files import hash_file
from .predictor import Predictor, find_class_names

# Options that a file takes: they change how it reads clips.
CLIP_OPTIONS = (*CHANGES, 'test_views')
# Probabilities in float32 whose logits are finite.
SMALLEST, LARGEST = torch.finfo(torch.float32).tiny, 1 - 2**-25


def load_exported_predictor(
    path: str,
    device: str = 'cpu',
    options: dict | None = None,
    classes: str | None = None,
) -> Predictor:
    """Load a predictor from a file that ``tools/export.py`` wrote.

    Args:
        path: The file.
        device: ``'cpu'``: exported files run there.
        options: Options by name that change the pipeline, such as
            ``test_views``.
        classes: File with a class name per line; by default the names in
            the file.

    Raises:
        UserError: If the file cannot be read, or the names or options do
            not fit.
    """
    if device != 'cpu':
        raise UserError(
            f'--device {device} was given, but exported files run on the '
            'CPU; leave it out'
        )
    return exported_predictor(load_exported(path), options, classes)


def exported_predictor(
    model: ExportedModel,
    options: dict | None = None,
    classes: str | None = None,
) -> Predictor:
    """Make the predictor of a loaded file; see above."""
    pipeline = exported_pipeline(model, options)
    num_classes = model.metadata['num_classes']
    meta = dict(dataset_meta=dict(classes=model.metadata.get('classes')))
    names = find_class_names({}, dict(meta=meta), num_classes, classes)
    return Predictor(
        exported_scores(model),
        pipeline,
        'RGB',
        num_classes,
        names,
        dict(
            checkpoint=hash_file(model.path),
            model=model.path.suffix,
            pipeline=to_text(pipeline),
        ),
        model.several_labels,
    )


def exported_pipeline(
    model: ExportedModel, options: dict | None = None
) -> list[dict]:
    """Steps that read a clip for an exported model, from its metadata.

    Raises:
        UserError: If a step is not registered, or an option is none of
            ``CLIP_OPTIONS`` or does not fit the file.
    """
    steps = copy.deepcopy(model.metadata['pipeline'])
    check_types(steps, known_types(), str(model.path))
    init_default_scope(SCOPE)
    options = options or {}
    check_options(model, steps, options)
    # The options by name change the pipelines of loaders.
    loader = dict(dataset=dict(pipeline=steps))
    cfg = ConfigDict(options, test_dataloader=loader)
    apply_pipeline_options(cfg)
    return [dict(step) for step in cfg.test_pipeline]


def check_options(model: ExportedModel, steps: list[dict], options: dict):
    """Reject options that the clips of a file cannot have.

    Raises:
        UserError: With the first one.
    """
    for name in options:
        if name not in CLIP_OPTIONS:
            raise UserError(
                f'--cfg-options has {name}, but {model.path} is an exported '
                f'file, which takes {", ".join(CLIP_OPTIONS)} only'
            )
    side, length = options.get('clip_size'), options.get('clip_len')
    height, width = model.size
    is_fixed = 'size' not in model.dynamic
    if side is not None and is_fixed and (side, side) != (height, width):
        raise UserError(
            f'clip_size is {side} but {model.path} takes {height} x {width} '
            'pixels; leave it out, or export with --dynamic size'
        )
    is_fixed = model.kind == 'clip' and 'frames' not in model.dynamic
    if length is not None and is_fixed and length != model.clip_len:
        raise UserError(
            f'clip_len is {length} but {model.path} takes {model.clip_len} '
            'frames; leave it out, or export with --dynamic frames'
        )
    views = str(options.get('test_views'))
    # The scale of one crop is that of the validation, which no file has.
    if views.endswith('x1') and 'ThreeCrop' in map(type_name, steps):
        raise UserError(
            f'test_views is {views} but the pipeline of {model.path} has '
            f'three crops; give three, or export with test_views={views}'
        )


def exported_scores(model: ExportedModel) -> Callable[[list[dict]], Tensor]:
    """``Predictor.score`` of an exported model; averages the views.

    With several labels per clip it averages their logits, as
    :func:`.predictor.recognizer_scores` does.
    """

    def score(samples: list[dict]) -> Tensor:
        clips = [frames_of_sample(sample) for sample in samples]
        scores = torch.from_numpy(model.predict(np.concatenate(clips)))
        scores = scores.unflatten(0, (len(clips), -1))  # (B*V, K) -> (B, V, K)
        if not model.several_labels:
            return scores.mean(1).float()
        logits = scores.double().clamp(SMALLEST, LARGEST).logit()
        return logits.mean(1).sigmoid().float()

    return score


def frames_of_sample(sample: dict) -> np.ndarray:
    """Clips of a sample of a pipeline, (V, 3, T, H, W) -> (V, T, H, W, 3).

    Raises:
        UserError: If they are not uint8 clips, as a 3D recognizer has them.
    """
    inputs = sample['inputs']
    if inputs.dim() != 5 or inputs.dtype != torch.uint8:
        raise UserError(
            f'the pipeline returns {tuple(inputs.shape)} {inputs.dtype}; an '
            'exported model takes uint8 clips of a 3D recognizer, '
            '(V, 3, T, H, W)'
        )
    return np.ascontiguousarray(inputs.permute(0, 2, 3, 4, 1).numpy())
