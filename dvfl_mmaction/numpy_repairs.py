"""Let MMAction2's modules use what newer versions of NumPy removed.

MMAction2 1.2.0 calls ``np.in1d``, ``np.trapz`` and ``np.Inf``, and converts
arrays of one element with ``int``. NumPy 2.4 has none of these. NumPy itself
is not changed: the modules below see it through :class:`NumpyNames`.
"""

import builtins
import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

logger = logging.getLogger(__name__)

# The removed name and its successor.
SUCCESSORS = {'in1d': 'isin', 'trapz': 'trapezoid', 'Inf': 'inf'}
# The modules that use one.
USERS = (
    'mmaction.datasets.transforms.pose_transforms',  # Inf
    'mmaction.evaluation.functional.accuracy',  # trapz, of ANetMetric
    'mmaction.evaluation.metrics.multimodal_metric',  # in1d, RetrievalRecall
    'mmaction.utils.misc',  # Inf, of frame_extract
)
# Its iou3dt_voc, of MultiSportsMetric, calls int(np.where(...)[0]).
ELEMENT_CONVERTER = 'mmaction.evaluation.functional.multisports_utils'


class NumpyNames(ModuleType):
    """NumPy, with the successors of removed names under the old ones."""

    def __getattr__(self, name):
        if name in SUCCESSORS and not hasattr(np, name):
            name = SUCCESSORS[name]
        return getattr(np, name)


def int_of_element(value) -> int:
    """``int``, also of an array of one element, whatever its dimensions."""
    return builtins.int(value.item() if hasattr(value, 'item') else value)


@contextmanager
def restore_removed_numpy_names() -> Iterator[None]:
    """Give MMAction2's modules the removed names while the context lasts.

    Nothing is replaced where NumPy has the names and the conversion.
    """
    replaced = []
    missing = [name for name in SUCCESSORS if not hasattr(np, name)]
    if missing:
        names = NumpyNames('numpy')
        replaced += [(user, 'np', names) for user in USERS]
        logger.debug('MMAction2 gets the removed np.%s', ', np.'.join(missing))
    if not converts_one_element():
        replaced.append((ELEMENT_CONVERTER, 'int', int_of_element))
        logger.debug("MMAction2's MultiSports converts arrays of one element")
    replaced = [(importlib.import_module(m), *rest) for m, *rest in replaced]
    before = [vars(module).get(name) for module, name, _ in replaced]
    for module, name, ours in replaced:
        setattr(module, name, ours)
    try:
        yield
    finally:
        for (module, name, ours), old in zip(replaced, before, strict=True):
            if vars(module).get(name) is not ours:
                continue  # replaced by somebody else since
            if old is None:
                delattr(module, name)
            else:
                setattr(module, name, old)


def converts_one_element() -> bool:
    """Check whether ``int`` takes a 1-D array of one element.

    NumPy 2.4 raises a TypeError; earlier versions warned.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        try:
            int(np.ones(1))
        except TypeError:
            return False
    return True
