"""The shapes that a config wants, and the configs that want given ones."""

from dataclasses import replace

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..distillation.teacher import find_config
from ..errors import UserError
from ..project_paths import ROOTS
from .architecture import Architecture, describe


def model_shapes(model: dict) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's weights by name; none of them is allocated.

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
    """Shapes of the recognizer of an architecture, by name.

    Without a head, of the backbone alone, by a recognizer's names.
    """
    stages = len(architecture.depths)
    backbone = dict(
        type='VideoFocalNet',
        arch=dict(
            embed_dim=architecture.embed_dim, depths=architecture.depths
        ),
        focal_levels=architecture.focal_levels,
        focal_windows=architecture.focal_windows,
        tubelet_size=architecture.tubelet_size,
        out_indices=(stages - 1,),
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


def read_config(path: str, options: dict | None = None) -> dict:
    """Read the shapes that a config wants.

    Args:
        path: The config; also looked for beside the installed package.
        options: Changes to it, as MMAction2's ``--cfg-options`` has them.

    Raises:
        UserError: If it is not there or has no Video-FocalNet.
    """
    cfg = Config.fromfile(find_config(path, 'CONFIG'))
    cfg.merge_from_dict(options or {})
    shapes = model_shapes(cfg.model) if 'model' in cfg else {}
    if describe(shapes) is None:
        raise UserError(
            f'{path} has no Video-FocalNet in it; give the config of one, '
            'such as configs/vflnet_ucf101.py'
        )
    return shapes


def name_configs(architecture: Architecture) -> str:
    """Name the configs for an architecture, with what to change in them.

    A config of another number of classes or tubelet size will do, changed.
    """
    folder = next(
        (
            root / 'configs'
            for root in ROOTS
            if (root / 'configs' / '_base_').is_dir()
        ),
        None,
    )
    plain, distilled = {}, {}
    for path in sorted(folder.glob('*.py')) if folder else []:
        try:
            cfg = Config.fromfile(path)
            wanted = describe(model_shapes(cfg.model))
        except Exception:
            # One that a user is still writing may fail in any way; it is
            # only looked at for its name.
            continue
        if wanted is None:
            continue
        same = replace(
            wanted,
            tubelet_size=architecture.tubelet_size,
            num_classes=architecture.num_classes,
        )
        if same == architecture:
            options = changed_options(cfg.model, wanted, architecture)
            group = distilled if 'teacher' in cfg.model else plain
            group[str(path)] = options
    changes = plain | distilled
    if not changes:
        return 'none here; write one with these values'
    fewest = min(map(len, changes.values()))
    names = [name for name, c in changes.items() if len(c) == fewest]
    if not fewest:
        return ' or '.join(names)
    return ' '.join([names[0], 'with --cfg-options', *changes[names[0]]])


def changed_options(
    model: dict, wanted: Architecture, architecture: Architecture
) -> list[str]:
    """What to give as ``--cfg-options`` to turn one into the other."""
    options = []
    if wanted.tubelet_size != architecture.tubelet_size:
        options.append(
            f'model.backbone.tubelet_size={architecture.tubelet_size}'
        )
    if architecture.num_classes not in (None, wanted.num_classes):
        classes = f'num_classes={architecture.num_classes}'
        options.append(f'model.cls_head.{classes}')
        if model.get('data_preprocessor', {}).get('blending'):
            options.append(f'model.data_preprocessor.blending.{classes}')
    return options
