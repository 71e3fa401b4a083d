"""Pickles that would run code, and the check that they are refused."""

import functools
import os

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
