"""Make the released MMAction2 1.2.0 and MMEngine 0.10.7 work today.

Each repair is applied only if a probe finds its fault, whatever the version,
and is logged at debug level. Importing this package applies those without
which MMAction2 cannot be imported. ``CheckedRunner`` applies the others, for
the length of a run.
"""

import ast
import functools
import importlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import functional as F

from .numpy_repairs import restore_removed_numpy_names
from .shared_context import SharedContext
from .short_videos import sample_short_videos

logger = logging.getLogger(__name__)

DRN = 'mmaction.models.localizers.drn'
# '1' keeps MMAction2's multimodal models, '0' hides them; unset: a probe
# decides.
MULTIMODAL_VARIABLE = 'DVFL_MULTIMODAL'
CASTING = ('loss_by_feat', 'predict_by_feat')  # methods of BaseHead


def apply():
    """Apply what an import needs; a second call changes nothing."""
    supply_drn()
    hide_multimodal()
    import_quietly()


class DRNFinder:
    """Meta-path finder that supplies ``mmaction.models.localizers.drn``.

    The wheel of MMAction2 1.2.0 lacks that folder but imports from it. The
    stub raises an error if a config uses it.
    """

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in (DRN, f'{DRN}.drn'):
            return ModuleSpec(name, cls, is_package=name == DRN)
        return None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        if module.__name__ == f'{DRN}.drn':
            from mmaction.registry import MODELS

            module.DRN = MissingDRN
            MODELS.register_module(name='DRN', module=MissingDRN)


class MissingDRN:
    """Stands for MMAction2's DRN; building it raises an error."""

    def __init__(self, *args, **kwargs):
        raise ImportError(
            'DRN cannot be imported: the wheel of MMAction2 lacks it, and '
            'its source needs torchvision; install torchvision, and '
            'MMAction2 from its repository'
        )


def supply_drn():
    """Supply a stub of MMAction2's DRN if the real one cannot be imported."""
    package = _folder('mmaction')
    if package is None or DRNFinder in sys.meta_path:
        return
    real = package / 'models' / 'localizers' / 'drn'
    if not (real / 'drn.py').is_file():
        sys.meta_path.append(DRNFinder)  # last: a real one takes precedence
        logger.debug('supplied a stub of %s, absent from the wheel', DRN)
    elif find_spec('torchvision') is None and any(
        'import torchvision' in file.read_text(encoding='utf-8')
        for file in real.rglob('*.py')
    ):
        sys.meta_path.insert(0, DRNFinder)
        logger.debug('replaced %s, which needs torchvision', DRN)


def hide_multimodal():
    """Make MMAction2 treat a broken multimodal extra as absent.

    If transformers is installed, MMAction2 imports timm and names that newer
    versions of transformers lack.
    """
    choice = os.environ.get(MULTIMODAL_VARIABLE)
    if _folder('mmaction') is None or choice == '1':
        return
    dependency = importlib.import_module('mmaction.utils.dependency')
    if not dependency.WITH_MULTIMODAL:
        return
    if choice == '0':
        missing = f'{MULTIMODAL_VARIABLE}=0'
    else:
        missing = ', '.join(missing_multimodal_names())
    if missing:
        dependency.WITH_MULTIMODAL = False
        logger.debug("hid MMAction2's multimodal models: %s", missing)


def missing_multimodal_names() -> list:
    """List the absent names that MMAction2's multimodal models import.

    They are read from the sources: importing transformers takes seconds.
    """
    missing = set()
    sources = _folder('mmaction') / 'models' / 'multimodal' / 'vindlu'
    for source in sources.glob('*.py'):
        for node in ast.parse(source.read_text(encoding='utf-8')).body:
            module = getattr(node, 'module', None) or ''
            root, _, rest = module.partition('.')
            if root not in ('transformers', 'timm'):
                continue
            file = _source_file(root, rest)
            if file is None:
                missing.add(module)
            elif file.name != '__init__.py':  # these may compute their names
                text = file.read_text(encoding='utf-8')
                missing.update(
                    f'{module}.{alias.name}'
                    for alias in node.names
                    if not re.search(rf'\b{alias.name}\b', text)
                )
    return sorted(missing)


def import_quietly():
    """Import MMAction2's models without a warning about mmcv-lite.

    It lacks operators that this project does not use.
    """
    if _folder('mmaction') is not None:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Fail to import ``MultiScale')
            importlib.import_module('mmaction.models')


@contextmanager
def cast_half_precision_logits() -> Iterator[None]:
    """Pass logits to MMAction2's head in fp32: NumPy has no bfloat16."""
    head = importlib.import_module('mmaction.models.heads.base').BaseHead
    if takes_bfloat16(head):
        yield
        return
    before = {name: vars(head)[name] for name in CASTING}
    ours = {name: _with_fp32_logits(method) for name, method in before.items()}
    for name, method in ours.items():
        setattr(head, name, method)
    logger.debug("MMAction2's head casts half-precision logits to fp32")
    try:
        yield
    finally:
        for name, method in before.items():
            if vars(head)[name] is ours[name]:
                setattr(head, name, method)


@contextmanager
def _replace_for_a_run() -> Iterator[None]:
    from .checkpoints.safe_loading import safe_loaders

    with (
        safe_loaders,
        cast_half_precision_logits(),
        restore_removed_numpy_names(),
        sample_short_videos(),
    ):
        yield


# What a run replaces in MMEngine and MMAction2: the loading of checkpoints,
# the head's methods that do not take bfloat16, names that NumPy removed, and
# the sampling of long videos, which takes no short ones.
run_repairs = SharedContext(_replace_for_a_run)


def takes_bfloat16(head) -> bool:
    """Check whether a head class computes a loss from bfloat16 logits."""
    stub = SimpleNamespace(
        num_classes=2, topk=(1,), label_smooth_eps=0, loss_cls=F.cross_entropy
    )
    sample = SimpleNamespace(gt_label=torch.zeros(1, dtype=torch.long))
    logits = torch.zeros(2, 2, dtype=torch.bfloat16)
    try:
        head.loss_by_feat(stub, logits, [sample, sample])
    except TypeError:  # Got unsupported ScalarType BFloat16
        return False
    return True


def _with_fp32_logits(method):
    @functools.wraps(method)
    def cast_first(self, cls_scores, *args, **kwargs):
        if cls_scores.dtype in (torch.float16, torch.bfloat16):
            cls_scores = cls_scores.float()
        return method(self, cls_scores, *args, **kwargs)

    return cast_first


def _folder(package):
    """Return the folder of an installed package without importing it."""
    spec = find_spec(package)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


def _source_file(package, submodule):
    """Return a submodule's source without importing it; None if absent."""
    folder = _folder(package)
    if folder is None:
        return None
    path = folder.joinpath(*submodule.split('.')) if submodule else folder
    for file in (path / '__init__.py', path.with_suffix('.py')):
        if file.is_file():
            return file
    return None
