"""What a checkpoint may hold besides tensors, and what is refused."""

import io
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hostile_checkpoints import Call, WithState, assert_refused
from mmengine.logging import HistoryBuffer
from warm_process import run_code, run_in_parallel

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.safe_globals import (
    RELEASED_CONFIG,
    STAND_INS,
    NumericArray,
    NumericDType,
    global_name,
    stand_ins_allowed,
)
from dvfl_mmaction.checkpoints.safe_loading import (
    CheckpointError,
    load_checkpoint_file,
)


def test_a_function_from_the_stand_in_for_getattr_cannot_be_called(tmp_path):
    class Chained:
        def __reduce__(self):
            return HistoryBuffer.mean, (HistoryBuffer([1.0], [1]),)

    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': Chained()}, path)
    assert_refused(path, 'HistoryBuffer.mean')


def test_history_buffer_takes_no_other_statistics_from_a_file(tmp_path):
    state = vars(HistoryBuffer([1.0], [1])) | {
        'statistics_methods': {'mean': torch.Tensor}
    }
    path = tmp_path / 'hostile.pth'
    torch.save({'log': WithState(HistoryBuffer, state)}, path)
    assert_refused(path, 'HistoryBuffer.mean')
    assert HistoryBuffer([1.0, 3.0], [1, 1]).statistics('mean') == 2.0


def test_a_loaded_history_buffer_is_equal_and_can_be_updated(tmp_path):
    path = tmp_path / 'history.pth'
    torch.save({'log': HistoryBuffer([1.0, 2.0], [1, 1])}, path)
    loaded = load_checkpoint_file(path)['log']
    assert type(loaded) is HistoryBuffer
    loaded.update(6.0)
    assert loaded.statistics('mean') == 3.0
    assert loaded.statistics('max', 2) == 6.0
    assert b'dvfl_mmaction' not in pickle.dumps(loaded)


def test_what_the_program_has_allowed_is_the_same_after_a_load():
    entries = [np.ndarray, np.dtype, (len, 'builtins.getattr'), STAND_INS[0]]
    with torch.serialization.safe_globals(entries):
        before = set(torch.serialization.get_safe_globals())
        with stand_ins_allowed, stand_ins_allowed:
            during = set(torch.serialization.get_safe_globals())
        assert set(torch.serialization.get_safe_globals()) == before
    assert set(STAND_INS) <= during
    names = [global_name(entry) for entry in during]
    assert len(names) == len(set(names))


def test_what_the_program_has_allowed_does_not_loosen_a_load(tmp_path):
    path = tmp_path / 'words.pth'
    reduced = np.arange(1).__reduce__()
    torch.save({'a': np.array(['one', 'two'])}, path)
    allowed = [reduced[0], np.ndarray, np.dtype, type(np.dtype('U3'))]
    with torch.serialization.safe_globals(allowed):
        assert torch.load(path)['a'].tolist() == ['one', 'two']
        assert_refused(path, 'numpy.dtype[str')
        assert torch.load(path)['a'].tolist() == ['one', 'two']


def save_with(path, replaced):
    """Save a checkpoint whose pickle has some of its bytes replaced."""
    source = io.BytesIO()
    torch.save({'a': np.arange(3.0)}, source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith('data.pkl'):
                for before, after in replaced.items():
                    assert before in data
                    data = data.replace(before, after)
            new.writestr(name, data)


def test_object_arrays_are_refused(tmp_path):
    path = tmp_path / 'objects.pth'
    torch.save({'a': np.array([1, 'two', None], dtype=object)}, path)
    assert_refused(path, 'numpy.dtype[object]')


@pytest.mark.parametrize('spec', ['f8,O', 'V8', 'U4', 'M8[s]', '(2,)f8'])
def test_types_that_are_not_plain_numbers_are_refused(spec):
    with pytest.raises(pickle.UnpicklingError, match=r'refused: numpy.dtype'):
        NumericDType(spec)


def test_a_dtype_is_read_from_text_only(tmp_path):
    # NumPy would take 2^n steps for n nested pairs of fields.
    path = tmp_path / 'hostile.pth'
    torch.save({'a': Call(np.dtype, [('a', 'f8'), ('b', 'f8')])}, path)
    assert_refused(path, '(numpy.dtype)')


def test_the_flags_of_a_pickled_dtype_are_ignored(tmp_path):
    # The last entry of a dtype's state says whether its items are pointers;
    # NumPy itself trusts the file.
    flags = b'J\xff\xff\xff\xffJ\xff\xff\xff\xffK'
    path = tmp_path / 'flags.pth'
    save_with(path, {flags + b'\x00': flags + b'\x3f'})
    loaded = load_checkpoint_file(path)['a']
    assert not loaded.dtype.hasobject
    assert loaded.tolist() == [0.0, 1.0, 2.0]


def test_an_array_longer_than_its_bytes_is_refused(tmp_path):
    path = tmp_path / 'long.pth'
    save_with(path, {b'K\x01K\x03\x85': b'K\x01K\x7f\x85'})
    with pytest.raises(CheckpointError, match='cannot be read'):
        load_checkpoint_file(path)


def test_numpy_arrays_are_not_created_without_data():
    with pytest.raises(pickle.UnpicklingError, match='numpy.ndarray'):
        NumericArray((1 << 40,))


@pytest.mark.parametrize('module', [b'numpy._core', b'numpy.core'])
def test_arrays_of_numpy_1_and_2_are_read(tmp_path, module):
    path = tmp_path / 'numbers.pth'
    current = np.arange(1).__reduce__()[0].__module__.rpartition('.')[0]
    save_with(path, {current.encode(): module})
    assert load_checkpoint_file(path)['a'].tolist() == [0.0, 1.0, 2.0]


def test_arrays_and_random_states_are_restored_equal(tmp_path):
    path = tmp_path / 'state.pth'
    saved = {
        'state_dict': {'w': torch.arange(3.0)},
        'big_endian': np.arange(4, dtype='>i2').reshape(2, 2),
        'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        'scalar': np.float32(1.5),
        'flag': np.bool_(True),
        'numpy_random': np.random.get_state(),
    }
    torch.save(saved, path)
    loaded = load_checkpoint_file(path)
    assert torch.equal(loaded['state_dict']['w'], saved['state_dict']['w'])
    for name in ('big_endian', 'fortran'):
        # NumPy itself turns big-endian numbers into the machine's order.
        np.testing.assert_array_equal(loaded[name], saved[name])
        assert b'dvfl_mmaction' not in pickle.dumps(loaded[name], 2)
    assert (loaded['scalar'], loaded['flag']) == (1.5, True)
    wanted = np.random.random(3)
    np.random.set_state(loaded['numpy_random'])
    np.testing.assert_array_equal(np.random.random(3), wanted)


WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(1)}


@pytest.fixture
def config_class(monkeypatch):
    """A class that pickles as yacs' CfgNode does."""

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
    (done,) = run_in_parallel(run_code, [(code, [path])])
    assert done.returncode == 0, done.stderr
    config = load_checkpoint_file(path)['config']
    assert type(config) is OrderedDict
    assert type(config['DATA']) is OrderedDict
    assert config['DATA']['MEAN'] == (0.5, 0.4)
    assert repr(config) in done.stdout


def test_code_in_a_released_config_is_refused(tmp_path, config_class):
    canary = tmp_path / 'canary'
    for hostile in (
        config_class({'A': Call(os.system, f'touch {canary}')}),
        Call(config_class, {'A': 1}),
        Call(config_class.fromkeys, 'ab'),
    ):
        torch.save({'model': WEIGHTS, 'config': hostile}, tmp_path / 'x.pth')
        with pytest.raises(UserError, match='contains code'):
            load_checkpoint_file(tmp_path / 'x.pth')
    assert not canary.exists()
