import functools
import io
import os
import pickle
import threading
import warnings
import zipfile
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.safe_globals import NumericArray, NumericDType
from dvfl_mmaction.checkpoints.safe_loading import (
    CheckpointError,
    MissingCheckpointError,
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


@pytest.fixture
def canary(tmp_path):
    """A file that must not appear; its path goes into the hostile calls."""
    path = tmp_path / 'canary'
    yield path
    assert not path.exists()


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


NAMES = list(hostile_calls('canary'))


def assert_refused(path, name, loader=load_checkpoint_file):
    with pytest.raises(UnsafeCheckpointError) as caught:
        loader(str(path))
    message = str(caught.value)
    assert str(path) in message
    assert name in message
    assert '\n' not in message
    assert 'weights_only=False' not in message
    assert isinstance(caught.value, UserError)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('place', ['top', 'nested'])
def test_code_in_a_checkpoint_is_refused_by_file_and_name(
    tmp_path, canary, name, place
):
    hostile = hostile_calls(canary)[name]
    if place == 'nested':
        hostile = {'state_dict': {'w': torch.zeros(1), 'b': [(hostile,)]}}
    path = tmp_path / 'hostile.pth'
    torch.save(hostile, path)
    assert_refused(path, name)


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_a_bare_pickle_is_refused_by_name_at_every_protocol(
    tmp_path, canary, protocol
):
    path = tmp_path / 'hostile.pkl'
    call = Call(os.system, f'touch "{canary}"')
    path.write_bytes(pickle.dumps({'state_dict': call}, protocol))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert_refused(path, 'posix.system')


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_refused_in_both_of_the_formats_of_torch(
    tmp_path, canary, protocol, zipped
):
    path = tmp_path / 'hostile.pth'
    torch.save(
        {'meta': Call(eval, f'open({str(canary)!r}, "w")')},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    assert_refused(path, 'builtins.eval')


def test_what_the_stand_in_of_getattr_returns_cannot_be_called(tmp_path):
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


def test_the_flags_of_a_pickled_dtype_are_not_believed(tmp_path):
    # The last entry of a dtype's state says whether its items are pointers;
    # NumPy itself takes the file's word for it.
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


def test_numpy_arrays_are_not_made_out_of_thin_air():
    with pytest.raises(pickle.UnpicklingError, match='numpy.ndarray'):
        NumericArray((1 << 40,))


@pytest.mark.parametrize('module', [b'numpy._core', b'numpy.core'])
def test_numbers_of_either_numpy_are_read(tmp_path, module):
    path = tmp_path / 'numbers.pth'
    current = np.arange(1).__reduce__()[0].__module__.rpartition('.')[0]
    save_with(path, {current.encode(): module})
    assert load_checkpoint_file(path)['a'].tolist() == [0.0, 1.0, 2.0]


def test_arrays_and_random_states_come_back_equal(tmp_path):
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


def make_faulty(path, fault):
    if fault == 'folder':
        path.mkdir()
    elif fault == 'cut short':
        torch.save({'state_dict': {'w': torch.zeros(999)}}, path)
        path.write_bytes(path.read_bytes()[:-700])
    elif str(fault).startswith('old format'):
        weights = {'w': torch.zeros(999)}
        torch.save(weights, path, _use_new_zipfile_serialization=False)
        content = path.read_bytes()
        end = content.index(b'build_') if 'name' in fault else -700
        path.write_bytes(content[:end])
    elif fault == 'archive of nothing':
        zipfile.ZipFile(path, 'w').close()
    elif fault == 'other archive':
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('readme.txt', 'no weights here')
    elif fault == 'a tensor':
        torch.save(torch.zeros(3), path)
    elif fault == 'compiled model':
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.jit.save(torch.jit.script(nn.Identity()), path)
    elif fault != 'missing':
        path.write_bytes(fault)


@pytest.mark.parametrize(
    ('fault', 'words'),
    [
        ('missing', 'there is no file'),
        ('folder', 'is a folder'),
        (b'', 'is empty'),
        ('cut short', 'is cut short'),
        ('old format, cut short', 'cannot be read'),
        ('old format, cut within a name', 'cannot be read .*breaks off'),
        ('archive of nothing', 'cannot be read .*not what torch.save writes'),
        (bytes(1024), 'cannot be read .*no archive that torch.save writes'),
        (b'<!DOCTYPE html>\n<html>404</html>', 'cannot be read'),
        (b'\x80', 'cannot be read'),
        (b'version https://git-lfs\noid sha256:0\n', 'cannot be read'),
        (bytes(range(256)), 'cannot be read'),
        ('other archive', 'cannot be read'),
        ('compiled model', 'cannot be read .*TorchScript program'),
        ('a tensor', 'holds a Tensor'),
    ],
)
@pytest.mark.parametrize('mmap', [False, True])
def test_what_is_no_checkpoint_is_told_in_one_line(
    tmp_path, fault, words, mmap
):
    path = tmp_path / 'faulty.pth'
    make_faulty(path, fault)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint_file(path, mmap=mmap)
    assert '\n' not in str(caught.value)
    assert str(path) in str(caught.value)
    assert 'weights_only' not in str(caught.value)
    assert 'mmap' not in str(caught.value)
    assert not isinstance(caught.value, UnsafeCheckpointError)


def test_a_sound_file_for_an_absent_device_is_not_called_damaged(tmp_path):
    path = tmp_path / 'sound.pth'
    torch.save({'w': torch.zeros(1)}, path)
    with pytest.raises((RuntimeError, AssertionError)) as caught:
        CheckpointLoader.load_checkpoint(
            str(path), map_location='cuda:99', logger='silent'
        )
    assert 'damaged' not in str(caught.value)


def test_a_missing_checkpoint_is_still_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_checkpoint_file(tmp_path / 'none.pth')
    assert isinstance(caught.value, MissingCheckpointError)
    assert isinstance(caught.value, UserError)


def test_mmengine_refuses_the_same_way(tmp_path, canary):
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': Call(os.system, f'touch "{canary}"')}, path)
    for loader in (
        CheckpointLoader.load_checkpoint,
        functools.partial(load_checkpoint, nn.Linear(1, 1)),
        lambda name: ToyModel(
            init_cfg={'type': 'Pretrained', 'checkpoint': name}
        ).init_weights(),
    ):
        assert_refused(path, 'posix.system', loader)


def test_no_environment_variable_lets_code_run(tmp_path, canary, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': Call(os.system, f'touch "{canary}"')}, path)
    assert_refused(path, 'posix.system')


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve ``tmp_path`` on this machine and cache downloads within it."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(tmp_path))
    with HTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_downloads_are_loaded_safely_too(tmp_path, canary, server):
    torch.save({'w': torch.ones(2)}, tmp_path / 'good.pth')
    call = Call(os.system, f'touch "{canary}"')
    torch.save({'w': call}, tmp_path / 'hostile.pth')
    loaded = load_checkpoint_file(f'{server}/good.pth')
    assert loaded['w'].tolist() == [1.0, 1.0]
    assert_refused(f'{server}/hostile.pth', 'posix.system')


class ToyModel(BaseModel):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.fc = nn.Linear(2, 1)

    def forward(self, inputs, labels=None, mode='tensor'):
        return {'loss': (self.fc(torch.stack(inputs)) ** 2).mean()}


def toy_runner(work_dir, max_epochs, resume=False):
    loader = {
        'dataset': [{'inputs': torch.ones(2) * i} for i in range(4)],
        'batch_size': 2,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'collate_fn': {'type': 'pseudo_collate'},
    }
    return Runner(
        model=ToyModel(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg={'by_epoch': True, 'max_epochs': max_epochs},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.01}},
        log_level='WARNING',
        resume=resume,
        experiment_name=f'toy_{work_dir.name}_{max_epochs}_{resume}',
    )


def test_a_run_of_mmengine_resumes_with_its_log_history(tmp_path):
    toy_runner(tmp_path, max_epochs=1).train()
    checkpoint = load_checkpoint_file(tmp_path / 'epoch_1.pth')
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert type(history) is HistoryBuffer
    assert len(history.data[0]) == 2

    runner = toy_runner(tmp_path, max_epochs=2, resume=True)
    runner.train()
    resumed = runner.message_hub.log_scalars['train/loss']
    assert runner.epoch == 2
    np.testing.assert_array_equal(resumed.data[0][:2], history.data[0])
    assert len(resumed.data[0]) == 4


def test_a_run_does_not_resume_from_a_hostile_file(tmp_path, canary):
    path = tmp_path / 'epoch_1.pth'
    torch.save({'message_hub': Call(os.system, f'touch "{canary}"')}, path)
    (tmp_path / 'last_checkpoint').write_text(str(path), encoding='utf-8')
    runner = toy_runner(tmp_path, max_epochs=1, resume=True)
    assert_refused(path, 'posix.system', lambda _: runner.train())
