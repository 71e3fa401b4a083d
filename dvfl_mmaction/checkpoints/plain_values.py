"""Checkpoints of plain values, which torch loads without an allow-list.

MMEngine saves the history of the log as
:class:`~mmengine.logging.HistoryBuffer` objects, which
``torch.load(weights_only=True)`` refuses. Here they are saved as tensors
under a key of their own, which MMEngine's own runner ignores.
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import PurePath

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .safe_loading import CheckpointError

KEY = 'log_history'
WEIGHTS = ('state_dict', 'ema_state_dict')  # tensors only


def make_plain(checkpoint: dict):
    """Replace everything in a checkpoint that is not plain, in place."""
    separate_history(checkpoint)
    known = {}
    for key, value in checkpoint.items():
        if key not in WEIGHTS:
            checkpoint[key] = plain(value, known)


def separate_history(checkpoint: dict):
    """Move the history of the log to an entry of its own, as tensors."""
    hub = checkpoint.get('message_hub')
    if not isinstance(hub, Mapping):
        return
    history = {
        name: buffer
        for name, buffer in hub['log_scalars'].items()
        if isinstance(buffer, HistoryBuffer)
    }
    resumed = hub['resumed_keys']
    checkpoint['message_hub'] = dict(
        hub,
        log_scalars=without(hub['log_scalars'], history),
        # MMEngine warns of names without an entry.
        resumed_keys=without(resumed, history),
    )
    checkpoint[KEY] = {
        name: dict(
            values=buffer.data[0],
            counts=buffer.data[1],
            max_length=buffer.max_length,
            resumed=resumed.get(name, False),
        )
        for name, buffer in history.items()
    }


def restore_history(checkpoint: dict):
    """Undo :func:`separate_history`; other checkpoints stay as they are.

    Raises:
        CheckpointError: If the history is damaged.
    """
    history, hub = checkpoint.pop(KEY, None), checkpoint.get('message_hub')
    if history is None or not isinstance(hub, Mapping):
        return
    try:
        buffers = {name: read_buffer(**of) for name, of in history.items()}
        resumed = {name: bool(of['resumed']) for name, of in history.items()}
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointError(
            f'the checkpoint has a damaged {KEY}; wanted: values, counts, '
            'max_length and resumed per name; give a checkpoint as training '
            'saved it'
        ) from None
    checkpoint['message_hub'] = dict(
        hub,
        log_scalars=OrderedDict(hub['log_scalars'], **buffers),
        resumed_keys=OrderedDict(hub['resumed_keys'], **resumed),
    )


def read_buffer(values, counts, max_length, resumed) -> HistoryBuffer:
    """Read a HistoryBuffer from its parts."""
    del resumed  # by the message hub
    return HistoryBuffer(
        values.cpu().numpy(), counts.cpu().numpy(), int(max_length)
    )


def without(entries: Mapping, names) -> dict:
    """Copy a dict without some of its entries."""
    return {name: v for name, v in entries.items() if name not in names}


def plain(value, known: dict | None = None):
    """Replace NumPy's values, paths and unusual containers.

    Numeric arrays become tensors. What is neither known nor plain stays. A
    container that occurs several times, or in itself, is copied once.

    Args:
        value: The value.
        known: The containers so far and their copies, by ``id``.
    """
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        numeric = value.dtype.kind in 'biufc' and value.dtype.isnative
        if numeric:
            return torch.from_numpy(value.copy())  # of any order
        return plain(value.tolist(), known)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        copied = OrderedDict() if isinstance(value, OrderedDict) else {}
        known[id(value)] = value, copied  # the value keeps its id in use
        for key, item in value.items():
            copied[plain(key, known)] = plain(item, known)
        return copied
    if isinstance(value, list):
        copied = []
        known[id(value)] = value, copied
        copied += [plain(item, known) for item in value]
        return copied
    if type(value) is not torch.Size and isinstance(value, tuple):
        copied = tuple(plain(item, known) for item in value)
        known[id(value)] = value, copied
        return copied
    return value
