"""Shapes of a config's weights, and the configs that match given weights."""

import functools
import inspect
from dataclasses import replace
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..errors import UserError
from ..project_paths import find_config, find_configs
from ..tool_options import merge_options
from .architecture import (
    ARCHS,
    Architecture,
    list_differences,
    read_architecture,
)
from .source import Source


def model_shapes(model: dict) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's weights by name, without memory for the weights.

    Args:
        model: A recognizer's config.
    """
    model = dict(model)
    model['data_preprocessor'] = dict(type='ActionDataPreprocessor')
    init_default_scope('mmaction')
    with torch.device('meta'):
        built = MODELS.build(model)
    return {k: tuple(v.shape) for k, v in built.state_dict().items()}


def architecture_shapes(architecture: Architecture) -> dict:
    """Shapes of a recognizer's weights by name, from its architecture.

    An architecture without a head gives the backbone's weights only.
    """
    stages = len(architecture.depths)
    # A stage after the last output is not built, but has the name norm.
    unbuilt = (1,) if architecture.norms[-1] != 'norm' else ()
    backbone = dict(
        type='VideoFocalNet',
        arch=dict(
            embed_dim=architecture.embed_dim,
            depths=architecture.depths + unbuilt,
        ),
        focal_levels=architecture.focal_levels + unbuilt,
        focal_windows=architecture.focal_windows + unbuilt,
        tubelet_size=architecture.tubelet_size,
        in_channels=architecture.in_channels,
        out_indices=[
            stages - 1 if name == 'norm' else int(name.removeprefix('norm'))
            for name in architecture.norms
        ],
    )
    head = dict(
        type='I3DHead',
        num_classes=architecture.num_classes or 1,
        in_channels=architecture.embed_dim * 2 ** (stages - 1),
    )
    shapes = model_shapes(
        dict(type='Recognizer3D', backbone=backbone, cls_head=head)
    )
    if architecture.num_classes is None:
        shapes = {k: v for k, v in shapes.items() if 'backbone' in k}
    return shapes


def config_shapes(path: str, options: dict | None = None) -> dict:
    """Shapes of a config's weights by name.

    Args:
        path: The config; see :func:`find_config`.
        options: Changes to it, as in MMAction2's ``--cfg-options``.

    Raises:
        UserError: If it is not found, has no place for a change, or has no
            Video-FocalNet.
    """
    cfg = Config.fromfile(find_config(path, 'CONFIG'))
    merge_options(cfg, options, path)
    shapes = model_shapes(cfg.model) if 'model' in cfg else {}
    if read_architecture(shapes) is None:
        raise UserError(
            f'{path} has no Video-FocalNet; give the config of one, such as '
            'configs/vflnet_ucf101.py'
        )
    return shapes


def config_architecture(model: dict) -> Architecture | None:
    """Compute a recognizer's architecture without building it.

    Args:
        model: A recognizer's config.

    Returns:
        The architecture; None if its backbone does not take the arguments
        of a Video-FocalNet.
    """
    backbone = dict(model['backbone'])
    kind = backbone['type']
    kind = kind if inspect.isclass(kind) else MODELS.get(kind)
    backbone = default_arguments(kind) | backbone
    if not {'arch', 'focal_levels', 'focal_windows'} <= backbone.keys():
        return None
    arch = backbone['arch']
    if isinstance(arch, str):
        arch = ARCHS[arch]
    stages = len(arch['depths'])
    outputs = sorted({i % stages for i in backbone['out_indices']})
    built = outputs[-1] + 1  # stages after the last output are not built

    def per_stage(value):
        values = (value,) * stages if isinstance(value, int) else value
        return tuple(values[:built])

    return Architecture(
        embed_dim=arch['embed_dim'],
        depths=per_stage(arch['depths']),
        focal_levels=per_stage(backbone['focal_levels']),
        focal_windows=per_stage(backbone['focal_windows']),
        tubelet_size=backbone['tubelet_size'],
        in_channels=backbone['in_channels'],
        norms=tuple(
            'norm' if i == stages - 1 else f'norm{i}' for i in outputs
        ),
        num_classes=(model.get('cls_head') or {}).get('num_classes'),
    )


def default_arguments(cls: type) -> dict:
    """Defaults of the arguments of a class and its base classes."""
    return {
        name: parameter.default
        for base in reversed(inspect.getmro(cls))
        for name, parameter in inspect.signature(base).parameters.items()
        if parameter.default is not parameter.empty
    }


def check_match(
    source: Source, found: Architecture, wanted: Architecture | None, to: str
):
    """Check a config's architecture and number of classes against a file's.

    Args:
        source: The file.
        found: Its architecture.
        wanted: The config's; None if it has no Video-FocalNet.
        to: The config, for errors.

    Raises:
        UserError: With the differences and the configs that match.
    """
    differences = ['it has no Video-FocalNet']
    if wanted is not None:
        initialise = source.layout.from_image
        differences = list_differences(found, wanted, initialise)
    if differences:
        raise UserError(
            f'{source.path} ({source.title}) does not match {to}: '
            f'{"; ".join(differences)}; matching config: '
            f'{suggest_configs(found)}'
            + (
                '; to fine-tune with another head, set model.backbone.'
                f'pretrained of {to} to the file'
                if all(d.startswith('num_classes') for d in differences)
                else ''
            )
        )


def suggest_configs(
    architecture: Architecture, paths: list[Path] | None = None
) -> str:
    """Name the configs for an architecture, with the changes they need.

    Only the number of classes and the tubelet size of a config may change.
    It may have outputs that the weights lack.

    Args:
        architecture: Architecture of the weights.
        paths: The configs to choose from; by default the project's.
    """
    undistilled, distilled = {}, {}
    for path in find_configs() if paths is None else paths:
        modified = path.stat().st_mtime_ns if path.exists() else 0
        candidate = read_candidate(path.resolve(), modified)
        if candidate is None:
            continue
        wanted, is_distilled = candidate
        outputs = set(wanted.norms) >= set(architecture.norms)
        same = replace(
            wanted,
            norms=architecture.norms if outputs else wanted.norms,
            tubelet_size=architecture.tubelet_size,
            num_classes=architecture.num_classes,
        )
        if same == architecture:
            group = distilled if is_distilled else undistilled
            group[str(path)] = changed_options(wanted, architecture)
    changes = undistilled | distilled
    if not changes:
        return 'not found; write a config with these values'
    fewest = min(map(len, changes.values()))
    names = [name for name, c in changes.items() if len(c) == fewest]
    if not fewest:
        return ' or '.join(names)
    return ' '.join([names[0], 'with --cfg-options', *changes[names[0]]])


@functools.cache
def read_candidate(path: Path, modified: int) -> tuple | None:
    """Read what a suggestion needs of a config, once per process.

    Reading all configs takes seconds.

    Args:
        path: The config.
        modified: Its time of modification, so that a changed file is read
            again.

    Returns:
        The architecture and whether it is distilled; None for a config that
        cannot be suggested.
    """
    try:
        model = Config.fromfile(path).model
        wanted = config_architecture(model)
    except Exception:
        # An unfinished config of the user may raise any error; it is not a
        # candidate then.
        return None
    # Released weights are those of the global form, and weights do not tell
    # which one they were trained in.
    causal = model.backbone.get('temporal') == 'causal'
    if wanted is None or causal:
        return None
    return wanted, 'teacher' in model


def changed_options(
    wanted: Architecture, architecture: Architecture
) -> list[str]:
    """The ``--cfg-options`` that turn ``wanted`` into ``architecture``."""
    options = []
    if wanted.tubelet_size != architecture.tubelet_size:
        options.append(
            f'model.backbone.tubelet_size={architecture.tubelet_size}'
        )
    if architecture.num_classes not in (None, wanted.num_classes):
        options.append(
            f'model.cls_head.num_classes={architecture.num_classes}'
        )
    return options
