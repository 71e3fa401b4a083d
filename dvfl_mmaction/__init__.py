"""Video-FocalNets, VFL-Net and their distillation for MMAction2.

Importing this package registers every class in MMAction2's registries. Where
MMAction2 cannot be imported as released, it is repaired; nothing else changes
for other code in the process.
"""

from . import compat

compat.apply()  # before anything imports mmaction's models

from . import (  # noqa: E402
    analysis,
    datasets,
    distillation,
    engine,
    evaluation,
    models,
)
from .errors import UserError  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = [
    'UserError',
    '__version__',
    'analysis',
    'datasets',
    'distillation',
    'engine',
    'evaluation',
    'load_model',
    'models',
]


def __getattr__(name: str):
    # Few programs load a packaged model: the import stays cheap.
    if name == 'load_model':
        from .deployment.packaged_model import load_model

        return load_model
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
