"""Top-level options of a config that change other parts of it."""

from mmengine.logging import print_log

from .clip_options import (
    apply_clip_options,
    apply_pipeline_variables,
    apply_test_views,
)
from .config_checks import named_loaders, nested_datasets, type_name
from .schedule_options import apply_schedule
from .tensorboard_option import apply_tensorboard

# Options of PyTorch's DataLoader that need num_workers > 0.
NEED_WORKERS = ('persistent_workers', 'prefetch_factor', 'timeout')


def apply_options(cfg: dict):
    """Replace the options of a config by what they stand for.

    To apply them again changes nothing.

    Raises:
        UserError: If an option is malformed or does not fit the config.
    """
    apply_num_classes(cfg)
    apply_num_workers(cfg)
    apply_pipeline_options(cfg)
    apply_schedule(cfg)
    apply_tensorboard(cfg)


def apply_pipeline_options(cfg: dict):
    """Apply the options that change pipelines.

    For tools that read a config's pipelines without a runner.
    """
    apply_clip_options(cfg)
    apply_test_views(cfg)
    apply_pipeline_variables(cfg)


def apply_num_classes(cfg: dict):
    """Set a missing ``num_classes`` to that of the head.

    It is that of ``MixupOrCutmix`` and of data sets with ``multi_class``.
    """
    model = cfg.get('model') or {}
    num_classes = (model.get('cls_head') or {}).get('num_classes')
    preprocessor = model.get('data_preprocessor') or {}
    blending = preprocessor.get('blending') or {}
    parts = [blending] if type_name(blending) == 'MixupOrCutmix' else []
    for _, loader in named_loaders(cfg):
        dataset = loader.get('dataset')
        parts += [p for p in nested_datasets(dataset) if p.get('multi_class')]
    for part in parts:
        if part.get('num_classes') is None:
            part['num_classes'] = num_classes


def apply_num_workers(cfg: dict):
    """Drop the loaders' options that need workers where there are none.

    PyTorch rejects them. A log line names them.
    """
    for key, loader in named_loaders(cfg):
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
    for _, loader in named_loaders(cfg):
        loader.setdefault('pin_memory', True)
