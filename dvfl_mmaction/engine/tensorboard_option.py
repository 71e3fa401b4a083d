"""The top-level option ``tensorboard`` of a config."""

from importlib.util import find_spec

from ..errors import UserError
from .config_checks import type_name

BACKEND = 'TensorboardVisBackend'
HOOK = dict(type='ValidationPicturesHook')


def apply_tensorboard(cfg: dict):
    """Log to TensorBoard if ``tensorboard`` is True, and not if it is False.

    True adds MMAction2's ``TensorboardVisBackend`` to the visualizer, which
    writes all logged scalars, and ``ValidationPicturesHook``. False removes
    both, for configs that were dumped with them. Without the option the
    config stays.

    Raises:
        UserError: If the value is not a bool, or tensorboard is not
            installed.
    """
    wanted = cfg.get('tensorboard')
    if wanted is None:
        return
    if not isinstance(wanted, bool):
        raise UserError(f'tensorboard is {wanted!r}; give True or False')
    if wanted and find_spec('tensorboard') is None:
        raise UserError(
            'tensorboard=True but tensorboard is not installed; run pip '
            "install 'dvfl_mmaction[tensorboard]', or leave out tensorboard"
        )
    hooks = dict(cfg.get('default_hooks') or {})
    own = hooks.pop('validation_pictures', None) or {}
    if wanted:
        hooks['validation_pictures'] = HOOK | own
    # What MMEngine builds without a visualizer.
    default = dict(
        type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]
    )
    visualizer = dict(cfg.get('visualizer') or default)
    visualizer['vis_backends'] = with_backend(
        visualizer.get('vis_backends'), wanted
    )
    cfg['default_hooks'] = hooks
    cfg['visualizer'] = visualizer
    if 'vis_backends' in cfg:  # the variable that the visualizer copied
        cfg['vis_backends'] = with_backend(cfg['vis_backends'], wanted)


def with_backend(backends: list[dict] | None, wanted: bool) -> list[dict]:
    """Backends with or without that of TensorBoard."""
    found = [b for b in backends or [] if type_name(b) == BACKEND]
    others = [b for b in backends or [] if type_name(b) != BACKEND]
    if not wanted:
        return others
    return [*others, *(found or [dict(type=BACKEND)])]
