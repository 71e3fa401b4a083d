"""Load the configs that are passed to the tools."""

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..engine.options import apply_pipeline_options
from ..errors import UserError
from ..tool_options import merge_options


def load_config(path: str, options: dict | None = None) -> Config:
    """Load the config file of a recognizer, with its options applied.

    Args:
        path: The file.
        options: Changes of the config, as ``--cfg-options``.

    Raises:
        UserError: If it is not found, is not a recognizer's config, or has
            no place for an option.
    """
    if not Path(path).is_file():
        raise UserError(f'{path} not found; give a config file')
    cfg = Config.fromfile(path)
    merge_options(cfg, options, path)
    if not isinstance(cfg.get('model'), dict) or 'backbone' not in cfg.model:
        raise UserError(
            f'{path} has no model with a backbone; give the config of a '
            'recognizer'
        )
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    apply_pipeline_options(cfg)
    return cfg
