"""Pickles that would run code or never end, and checks of how they load."""

import contextlib
import functools
import os
import signal

import pytest
from mmengine.logging import HistoryBuffer
from torch import nn

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.safe_loading import (
    UnsafeCheckpointError,
    load_checkpoint_file,
)


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class WithState:
    """Pickles as an object of ``cls`` that is then filled with a state."""

    def __init__(self, cls, state):
        self.parts = cls, (), state

    def __reduce__(self):
        return self.parts


def endless_values():
    """Values of a few bytes that a walk without a memory never leaves."""
    own_item, own_value, shared, wide = [], {}, [0], ()
    own_item.append((own_item,))
    own_value['own'] = own_value
    for _ in range(40):
        shared, wide = [shared, shared], {'a': wide, 'b': wide}
    return dict(list=own_item, dict=own_value, shared=shared, wide=wide)


@contextlib.contextmanager
def time_limit(seconds=20):
    """Raise TimeoutError in a block that takes longer."""

    def stop(*_):
        raise TimeoutError(f'longer than {seconds} s')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def hostile_calls(canary):
    code = f'open({str(canary)!r}, "w").close()'
    return {
        'posix.system': Call(os.system, f'touch "{canary}"'),
        'builtins.eval': Call(eval, code),
        'builtins.exec': Call(exec, code),
        'builtins.__import__': Call(__import__, 'antigravity'),
        'subprocess.Popen': Call(__import__('subprocess').Popen, ['touch']),
        # The stand-in of getattr gives HistoryBuffer's statistics only.
        'builtins.getattr': Call(getattr, HistoryBuffer, '__init__'),
        'functools.partial': functools.partial(print),
        'torch.nn.modules.linear.Linear': nn.Linear(1, 1),
    }


def assert_refused(path, name, loader=load_checkpoint_file):
    with pytest.raises(UnsafeCheckpointError) as caught:
        loader(str(path))
    message = str(caught.value)
    assert str(path) in message
    assert name in message
    assert '\n' not in message
    assert 'weights_only=False' not in message
    assert isinstance(caught.value, UserError)
