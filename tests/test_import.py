"""Importing this package changes nothing for other code in the process."""

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

# Runs in a fresh process. Without this package MMAction2's models cannot be
# imported: a stub stands for what its wheel lacks.
PROGRAM = """
import importlib, json, os, random, re, sys, types, warnings
from pathlib import Path
import numpy as np, torch
from torch import nn
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint

DRN = 'mmaction.models.localizers.drn'

def repair():
    for name in (DRN, f'{DRN}.drn'):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[f'{DRN}.drn'].DRN = None
    importlib.import_module('mmaction.utils.dependency').WITH_MULTIMODAL = 0

def attempt(load):
    try:
        return re.sub(' at 0x[0-9a-f]+', '', repr(load()))
    except Exception as error:
        return f'{type(error).__name__}: {error}'

def with_mmengine(path):
    model = nn.Linear(2, 1)
    mmengine_checkpoint.load_checkpoint(model, path, logger='silent')
    return model.weight.tolist()

def loads(folder):
    return {
        f'{path.name} by {load.__name__}': attempt(lambda: load(str(path)))
        for path in sorted(Path(folder).glob('*.pth'))
        for load in (torch.load, with_mmengine)
    }

def name(thing):
    return f'{thing.__module__}.{thing.__qualname__}:{id(thing)}'

def found():
    return dict(
        schemes={k: name(v) for k, v in schemes.items()},
        load_url=name(mmengine_checkpoint.load_url),
        allowed=sorted(map(str, torch.serialization.get_safe_globals())),
        environment=sorted(os.environ.items()),
        excepthook=name(sys.excepthook),
        random=hash(random.getstate()),
        numpy_random=np.random.get_state()[1].tolist(),
        torch_random=torch.get_rng_state().tolist(),
        threads=torch.get_num_threads(),
        dtype=str(torch.get_default_dtype()),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )

for seed in (random.seed, np.random.seed, torch.manual_seed):
    seed(0)
import mmengine.model, mmengine.runner, torch.distributed.tensor
import torch.nested._internal.nested_tensor
try:
    import decord  # MMAction2 imports it; it extends PATH
except ImportError:
    pass
schemes = mmengine_checkpoint.CheckpointLoader._schemes
reduced = np.arange(1).__reduce__()[0]
allowed = [reduced, np.ndarray, np.dtype, HistoryBuffer, getattr]
allowed += [type(np.dtype('U3')), type(np.dtype('f8')), type(np.dtype('i8'))]
before = found()
if sys.argv[2] == 'with':
    import dvfl_mmaction
after = found()
if sys.argv[2] == 'without':
    repair()
warnings.simplefilter('ignore')
from mmaction.models.heads.base import BaseHead
strict = loads(sys.argv[1])
torch.serialization.add_safe_globals(allowed)
print(json.dumps(dict(
    draws='matplotlib' in sys.modules,
    changed=[k for k in before if before[k] != after[k]],
    head={k: f'{v.__qualname__}, {v.__code__.co_filename}'
          for k, v in vars(BaseHead).items() if hasattr(v, '__code__')},
    strict=strict,
    lenient=loads(sys.argv[1]),
)))
"""


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    """What a program finds without and with this package imported."""
    folder = tmp_path_factory.mktemp('checkpoints')
    weights = {'weight': torch.ones(1, 2), 'bias': torch.zeros(1)}
    metas = dict(
        config=ConfigDict(a=1),
        time=datetime.datetime(2024, 5, 1),
        path=Path('work_dirs'),
        arguments=argparse.Namespace(lr=0.1),
        words=np.array(['run', 'jump']),
        word=np.str_('run'),
        numbers=np.arange(3.0),
        number=np.float64(0.5),
        history=HistoryBuffer([1.0], [1]),
        nothing=None,
    )
    for name, meta in metas.items():
        torch.save(dict(state_dict=weights, meta=meta), folder / f'{name}.pth')
    env = os.environ | {'PYTHONPATH': str(Path(__file__).parents[1])}
    done = [
        subprocess.run(
            [sys.executable, '-c', PROGRAM, str(folder), choice],
            capture_output=True,
            text=True,
            env=env,
        )
        for choice in ('without', 'with')
    ]
    assert [process.returncode for process in done] == [0, 0], done
    return [json.loads(process.stdout) for process in done]


def test_an_import_changes_no_state_of_the_process(outcomes):
    assert [found['changed'] for found in outcomes] == [[], []]


def test_an_import_is_not_slowed_down_by_matplotlib(outcomes):
    assert [found['draws'] for found in outcomes] == [False, False]


def test_an_import_leaves_the_methods_of_mmactions_head(outcomes):
    without, imported = (found['head'] for found in outcomes)
    assert imported == without
    assert {'loss_by_feat', 'predict_by_feat'} <= without.keys()


@pytest.mark.parametrize('kind', ['strict', 'lenient'])
def test_loads_have_the_same_outcome_with_and_without_an_import(
    outcomes, kind
):
    without, imported = (found[kind] for found in outcomes)
    assert imported == without
    assert without['nothing.pth by with_mmengine'] == '[[1.0, 1.0]]'


def test_loads_that_a_program_allows_work_after_an_import(outcomes):
    for name in ('words', 'numbers'):
        load = f'{name}.pth by with_mmengine'
        assert 'Error' in outcomes[1]['strict'][load]
        assert outcomes[1]['lenient'][load] == '[[1.0, 1.0]]'
    assert "['run', 'jump']" in outcomes[1]['lenient']['words.pth by load']
