"""Files of weights: what they may hold, and how a bad one is told."""

import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.convert_file import convert_file
from dvfl_mmaction.checkpoints.safe_globals import RELEASED_CONFIG
from dvfl_mmaction.checkpoints.safe_loading import load_checkpoint_file

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(1)}


@pytest.fixture
def config_class(monkeypatch):
    """A class that pickles as yacs' CfgNode does, and tells if it is run."""

    class CfgNode(dict):
        def __init__(self, *args):
            super().__init__(*args)
            self.__dict__['__immutable__'] = False
            self.__dict__['__deprecated_keys__'] = set()

        def __setattr__(self, name, value):
            self[name] = value

    module, _, name = RELEASED_CONFIG.rpartition('.')
    CfgNode.__module__, CfgNode.__qualname__ = module, name
    fake = types.ModuleType(module)
    fake.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, 'yacs', types.ModuleType('yacs'))
    monkeypatch.setitem(sys.modules, module, fake)
    return CfgNode


def released_config(config_class):
    config = config_class()
    config.DATA = config_class({'NUM_FRAMES': 8, 'MEAN': (0.5, 0.4)})
    config.BASE, config.AMP = [''], None
    return config


@pytest.mark.parametrize('zipped', [True, False])
def test_a_released_config_is_read_as_a_dict(tmp_path, config_class, zipped):
    path = tmp_path / 'released.pth'
    torch.save(
        {'model': WEIGHTS, 'config': released_config(config_class)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    code = (
        'import sys, dvfl_mmaction.checkpoints.safe_loading as s;'
        'print(s.load_checkpoint_file(sys.argv[1])["config"]);'
        'assert "yacs" not in sys.modules'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, path],
        capture_output=True,
        text=True,
        env=os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    config = load_checkpoint_file(path)['config']
    assert type(config) is OrderedDict
    assert type(config['DATA']) is OrderedDict
    assert config['DATA']['MEAN'] == (0.5, 0.4)
    assert repr(config) in done.stdout


class Call:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_code_in_a_released_config_is_refused(tmp_path, config_class):
    canary = tmp_path / 'canary'
    for hostile in (
        config_class({'A': Call(os.system, f'touch {canary}')}),
        Call(config_class, {'A': 1}),
        Call(config_class.fromkeys, 'ab'),
    ):
        torch.save({'model': WEIGHTS, 'config': hostile}, tmp_path / 'x.pth')
        with pytest.raises(UserError, match='carries code'):
            load_checkpoint_file(tmp_path / 'x.pth')
    assert not canary.exists()


def test_safetensors_load_wherever_a_checkpoint_does(tmp_path):
    save_file(WEIGHTS, tmp_path / 'w.safetensors')
    save_file(WEIGHTS, tmp_path / 'w.pth')  # by its content
    for name in ('w.safetensors', 'w.pth'):
        loaded = CheckpointLoader.load_checkpoint(str(tmp_path / name), 'cpu')
        for key, value in WEIGHTS.items():
            assert torch.equal(loaded['state_dict'][key], value)


def truncated(path):
    torch.save({'model': WEIGHTS}, path)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_safetensors(path):
    save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-3])


def no_safetensors(path):
    path.write_bytes(b'\xff' * 40)


def zip_of_a_text(path):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('readme.txt', 'hello')


def pickle_with_code(path):
    path.write_bytes(pickle.dumps({'model': Call(os.system, 'true')}))


def checkpoint_with_code(path):
    torch.save({'model': WEIGHTS, 'x': Call(os.system, 'true')}, path)


def a_list(path):
    torch.save([torch.ones(1)], path)


def text(path):
    path.write_text('<html>404</html>')


@pytest.mark.parametrize(
    'write, name, message',
    [
        (truncated, 'src.pth', 'cut short'),
        (truncated_safetensors, 'src.safetensors', 'cannot be read'),
        (no_safetensors, 'src.safetensors', 'cannot be read'),
        (zip_of_a_text, 'src.pth', 'cannot be read as a checkpoint'),
        (pickle_with_code, 'src.pkl', 'carries code.*system'),
        (checkpoint_with_code, 'src.pth', 'carries code.*system'),
        (a_list, 'src.pth', 'holds a list, not a checkpoint'),
        (text, 'src.pth', 'cannot be read'),
        (lambda path: None, 'src.pth', 'there is no file'),
    ],
)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    tmp_path, write, name, message
):
    src = tmp_path / name
    write(src)
    before = list(tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as caught:
        convert_file(str(src), str(tmp_path / 'dst.pth'))
    assert str(src) in str(caught.value)
    assert '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == before
