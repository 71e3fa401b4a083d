"""Stand-ins for what MMEngine's checkpoints contain besides tensors.

``torch.load(weights_only=True)`` calls only what its allow-list contains. A
checkpoint of MMEngine's runner also contains
:class:`~mmengine.logging.HistoryBuffer` objects and NumPy arrays, so torch
2.6 and later refuse to resume from it. The names in such a file are mapped
to the stand-ins below instead of the originals: ``getattr`` reaches every
function, and ``dtype.__setstate__`` accepts flags that make NumPy read
numbers as addresses. They are allowed around this package's own loads only.
"""

import contextlib
import pickle
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..shared_context import SharedContext

STATISTICS = ('min', 'max', 'current', 'mean')
NUMERIC_KINDS = 'biufc'  # bool, int, unsigned int, float, complex


def refuse(name: str):
    """Stop the unpickling; the loader reads the name from the message."""
    raise pickle.UnpicklingError(f'refused: {name}')


class NumericDType:
    """Stands for ``numpy.dtype``; accepts numbers and their byte order only.

    Args:
        spec: NumPy's string for a plain type, such as 'f8'.
        align: Written by NumPy; meaningless for numbers.
        copy: Likewise.
    """

    def __init__(self, spec, align=False, copy=False):
        if not isinstance(spec, str):
            # A list of fields, which may be nested without end.
            refuse('numpy.dtype')
        try:
            self.dtype = np.dtype(spec)
        except (TypeError, ValueError):
            refuse('numpy.dtype')
        if self.dtype.kind not in NUMERIC_KINDS:
            refuse(f'numpy.dtype[{self.dtype.name}]')

    def __setstate__(self, state):
        if state[1] not in ('<', '>', '|', '='):
            refuse('numpy.dtype')
        self.dtype = self.dtype.newbyteorder(state[1])


def numeric(dtype) -> np.dtype:
    """Return the dtype of a stand-in, or a real dtype of plain numbers.

    A real one occurs if another library has allowed ``numpy.dtype``.
    """
    if isinstance(dtype, NumericDType):
        return dtype.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in NUMERIC_KINDS:
        return np.dtype(dtype.str)  # without the file's flags
    return refuse('numpy.dtype')


class NumericArray(np.ndarray):
    """Stands for ``numpy.ndarray``; filled with numbers from bytes only.

    It pickles as a plain array, independent of this package.
    """

    def __new__(cls, *args, **kwargs):
        refuse('numpy.ndarray')

    def __setstate__(self, state):
        if len(state) != 5 or not isinstance(state[4], bytes):
            refuse('numpy.ndarray')
        version, shape, dtype, is_fortran, data = state
        super().__setstate__(
            (version, shape, numeric(dtype), is_fortran, data)
        )

    def __reduce_ex__(self, protocol):
        return np.asarray(self).__reduce_ex__(protocol)


def reconstruct(subtype, shape, typecode) -> np.ndarray:
    """Stand for NumPy's ``_reconstruct``: make an empty array to fill."""
    if subtype not in (NumericArray, np.ndarray) or tuple(shape) != (0,):
        refuse('numpy._core.multiarray._reconstruct')
    return np.ndarray.__new__(NumericArray, (0,), np.int8)


def scalar(dtype, data: bytes) -> np.generic:
    """Stand for NumPy's ``scalar``: read one number from its bytes."""
    dtype = numeric(dtype)
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        refuse('numpy._core.multiarray.scalar')
    return np.frombuffer(data, dtype)[0]


class PickledHistoryBuffer(HistoryBuffer):
    """Stands for ``HistoryBuffer``, and becomes one when it is filled.

    The original puts callables from the file into a dict that all its
    instances share.
    """

    def __setstate__(self, state):
        methods = state.get('statistics_methods', {})
        for name, method in methods.items():
            if name not in STATISTICS or method != statistic(
                HistoryBuffer, name
            ):
                refuse(f'{HISTORY_BUFFER}.{name}')
        history = state['_log_history'], state['_count_history']
        if not all(isinstance(values, np.ndarray) for values in history):
            refuse(HISTORY_BUFFER)
        self._log_history, self._count_history = map(np.array, history)
        self.max_length = int(state['max_length'])
        self._set_default_statistics()
        self.__class__ = HistoryBuffer


def statistic(owner, name: str):
    """Stand for ``getattr``: return a statistic of HistoryBuffer only."""
    if (
        owner not in (PickledHistoryBuffer, HistoryBuffer)
        or name not in STATISTICS
    ):
        refuse('builtins.getattr')
    return getattr(HistoryBuffer, name)


class PlainConfig:
    """Stands for yacs' ``CfgNode``, which released checkpoints contain.

    It becomes a dict, the only such type that torch fills; yacs is neither
    imported nor run.
    """

    def __new__(cls, *args):
        if args:
            refuse(RELEASED_CONFIG)
        return OrderedDict()


RELEASED_CONFIG = 'yacs.config.CfgNode'


HISTORY_BUFFER = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'
STAND_INS = [
    (PickledHistoryBuffer, HISTORY_BUFFER),
    (statistic, 'builtins.getattr'),
    (NumericDType, 'numpy.dtype'),
    (NumericArray, 'numpy.ndarray'),
    # NumPy 2 renamed the module; old files carry the old name.
    (reconstruct, 'numpy._core.multiarray._reconstruct'),
    (reconstruct, 'numpy.core.multiarray._reconstruct'),
    (scalar, 'numpy._core.multiarray.scalar'),
    (scalar, 'numpy.core.multiarray.scalar'),
    (PlainConfig, RELEASED_CONFIG),
]


def global_name(entry) -> str:
    """Name of an entry of torch's allow-list in a pickle."""
    if isinstance(entry, tuple):
        return entry[1]
    return f'{entry.__module__}.{entry.__qualname__}'


@contextlib.contextmanager
def _allow_stand_ins() -> Iterator[None]:
    names = {name for _, name in STAND_INS}
    before = torch.serialization.get_safe_globals()
    # Of two entries with one name, torch takes any.
    other = torch.serialization.safe_globals(
        [e for e in before if e not in STAND_INS and global_name(e) in names]
    )
    ours = torch.serialization.safe_globals(
        [entry for entry in STAND_INS if entry not in before]
    )
    other.__exit__(None, None, None)  # removes them
    try:
        with ours:
            yield
    finally:
        other.__enter__()


# Makes torch rebuild HistoryBuffer, NumPy objects and released configs by
# stand-ins, whatever else the program has allowed.
stand_ins_allowed = SharedContext(_allow_stand_ins)
