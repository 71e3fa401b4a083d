"""Configs that the tools are given."""

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..errors import UserError


def load_config(path: str) -> Config:
    """A config file of a recognizer.

    Raises:
        UserError: If it is not there, or no config of a recognizer.
    """
    if not Path(path).is_file():
        raise UserError(f'{path} is not there; give a config file')
    cfg = Config.fromfile(path)
    if not isinstance(cfg.get('model'), dict) or 'backbone' not in cfg.model:
        raise UserError(
            f'{path} has no model with a backbone; give the config of a '
            'recognizer'
        )
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    return cfg
