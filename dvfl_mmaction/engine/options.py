"""Top-level options of a config that change other parts of it."""

import re
from collections.abc import Callable

from mmengine.logging import print_log

from ..errors import UserError
from .config_checks import nested_datasets

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Options of PyTorch's DataLoader that need num_workers > 0.
NEED_WORKERS = ('persistent_workers', 'prefetch_factor', 'timeout')


def apply_num_classes(cfg: dict):
    """Set a missing ``num_classes`` to that of the head.

    It is that of ``MixupOrCutmix`` and of data sets with ``multi_class``.
    """
    model = cfg.get('model') or {}
    num_classes = (model.get('cls_head') or {}).get('num_classes')
    preprocessor = model.get('data_preprocessor') or {}
    blending = preprocessor.get('blending') or {}
    parts = [blending] if blending.get('type') == 'MixupOrCutmix' else []
    for loader in LOADERS:
        dataset = (cfg.get(loader) or {}).get('dataset')
        parts += [p for p in nested_datasets(dataset) if p.get('multi_class')]
    for part in parts:
        if part.get('num_classes') is None:
            part['num_classes'] = num_classes


def apply_num_workers(cfg: dict):
    """Drop the loaders' options that need workers where there are none.

    PyTorch rejects them. A log line names them.
    """
    for key in LOADERS:
        loader = cfg.get(key) or {}
        if loader.get('num_workers') != 0:
            continue
        dropped = [name for name in NEED_WORKERS if loader.get(name)]
        for name in dropped:
            del loader[name]
        if dropped:
            print_log(
                f'{key} has num_workers=0; ignored there, since they need '
                f'workers: {", ".join(dropped)}',
                logger='current',
            )


def apply_pinned_memory(cfg: dict):
    """Have the loaders pin memory, unless they say otherwise.

    Copies to a GPU that the host does not wait for need it.
    """
    for key in LOADERS:
        if cfg.get(key):
            cfg[key].setdefault('pin_memory', True)


def apply_test_views(cfg: dict):
    """Change the test pipeline to the clips and crops of ``test_views``.

    ``test_views='4x3'`` means 4 clips of 3 crops each: any number of clips,
    1 or 3 crops. It sets ``num_clips`` of the step with ``clip_len``. For 3
    crops it replaces ``CenterCrop`` by ``ThreeCrop`` of the same size, and
    the preceding ``Resize`` scales the short side to the crop size, so that
    the three crops lie along the long side. Without ``test_views`` the
    pipeline stays.

    Raises:
        UserError: If the value is malformed, or the pipeline lacks a step.
    """
    views = cfg.get('test_views')
    if views is None:
        return
    match = re.fullmatch(r'([1-9]\d*)x([13])', str(views))
    if not match:
        raise UserError(
            f"test_views is {views!r}; give CLIPSxCROPS, such as '1x1' or "
            "'4x3': any number of clips, 1 or 3 crops"
        )
    steps = cfg['test_dataloader']['dataset']['pipeline']
    clips, crops = map(int, match.groups())
    sampling = last_step(steps, lambda step: 'clip_len' in step, views)
    sampling['num_clips'] = clips
    if crops == 1:
        return
    crop = last_step(
        steps, lambda s: s['type'] in ('CenterCrop', 'ThreeCrop'), views
    )
    crop['type'] = 'ThreeCrop'
    before = steps[: steps.index(crop)]
    resize = last_step(before, lambda step: step['type'] == 'Resize', views)
    resize['scale'] = (-1, crop['crop_size'])


def last_step(
    steps: list[dict], matches: Callable[[dict], bool], views: str
) -> dict:
    """Return the last pipeline step that matches, or raise UserError."""
    for step in reversed(steps):
        if matches(step):
            return step
    raise UserError(
        f'test_views is {views!r} but the test pipeline lacks a step that it '
        'changes: a sampling step with clip_len, Resize and CenterCrop; '
        'change the pipeline itself, and leave out test_views'
    )
