"""Every way to load a checkpoint is safe; bad files give one line."""

import functools
import json
import os
import threading
import warnings
import zipfile
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest
import torch
from hostile_checkpoints import (
    Call,
    assert_refused,
    endless_values,
    time_limit,
)
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file
from torch import nn

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.safe_loading import (
    CheckpointError,
    MissingCheckpointError,
    UnsafeCheckpointError,
    load_checkpoint_file,
    safe_loaders,
)

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(1)}


def test_safetensors_load_wherever_checkpoints_do(tmp_path):
    save_file(WEIGHTS, tmp_path / 'w.safetensors')
    save_file(WEIGHTS, tmp_path / 'w.pth')  # by its content
    for name in ('w.safetensors', 'w.pth'):
        with safe_loaders:
            loaded = CheckpointLoader.load_checkpoint(
                str(tmp_path / name), 'cpu'
            )
        for key, value in WEIGHTS.items():
            assert torch.equal(loaded['state_dict'][key], value)


def safetensors(**tensor):
    """A file of one tensor of 4 bytes with a header as given."""
    header = json.dumps({'w': tensor}).encode()
    return len(header).to_bytes(8, 'little') + header + bytes(4)


def make_faulty(path, fault):
    if fault == 'folder':
        path.mkdir()
    elif fault == 'pipe':
        os.mkfifo(path)
    elif fault == 'endless view':
        torch.save({'w': torch.zeros(1).expand(1 << 40)}, path)
    elif fault == 'endless view, old format':
        torch.save(
            {'state_dict': {'w': torch.zeros(1).expand(1 << 40)}},
            path,
            _use_new_zipfile_serialization=False,
        )
    elif fault == 'compressed':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('w/data.pkl', bytes(1 << 20))
    elif fault == 'deep metadata':
        meta = {'dvfl_mmaction': '[' * 100_000}
        save_file(WEIGHTS, path, meta)
    elif fault == 'endless safetensors':
        path.write_bytes(
            safetensors(dtype='F32', shape=[1 << 40], data_offsets=[0, 4])
        )
    elif fault == 'truncated':
        torch.save({'state_dict': {'w': torch.zeros(999)}}, path)
        path.write_bytes(path.read_bytes()[:-700])
    elif str(fault).startswith('old format'):
        weights = {'w': torch.zeros(999)}
        torch.save(weights, path, _use_new_zipfile_serialization=False)
        content = path.read_bytes()
        end = content.index(b'build_') if 'name' in fault else -700
        path.write_bytes(content[:end])
    elif fault == 'empty archive':
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
        ('missing', 'was not found'),
        ('folder', 'is a folder'),
        ('pipe', 'is a named pipe'),
        ('endless view', 'w, of shape .1099511627776,., would take 43980'),
        ('endless view, old format', 'w, of shape .* would take 43980'),
        ('compressed', 'its records would take 1048576 bytes, but the file'),
        ('deep metadata', 'its metadata is nested too deep'),
        ('endless safetensors', 'invalid shape'),
        (b'', 'is empty'),
        ('truncated', 'is truncated'),
        ('old format, truncated', 'cannot be read'),
        ('old format, truncated within a name', 'cannot be read .*truncated'),
        ('empty archive', 'cannot be read .*does not write files of this'),
        (bytes(1024), 'cannot be read .*does not write archives of this'),
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
def test_a_faulty_checkpoint_is_reported_in_one_line(
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


@pytest.mark.parametrize('kind', endless_values())
@pytest.mark.parametrize('mmap', [False, True])
def test_values_within_themselves_are_visited_once(tmp_path, kind, mmap):
    path = tmp_path / 'small.pth'
    value = endless_values()[kind]
    torch.save({'state_dict': WEIGHTS, 'extra': value}, path)
    assert path.stat().st_size < 5000
    with time_limit():
        loaded = load_checkpoint_file(path, mmap=mmap)
    assert torch.equal(loaded['state_dict']['a.weight'], WEIGHTS['a.weight'])
    extra = [value, {'w': torch.zeros(1).expand(1 << 40)}]
    torch.save({'state_dict': WEIGHTS, 'extra': extra}, path)
    with (
        time_limit(),
        pytest.raises(CheckpointError, match='w, of shape .* would take'),
    ):
        load_checkpoint_file(path, mmap=mmap)


def test_a_sound_file_for_an_absent_device_is_not_called_damaged(tmp_path):
    path = tmp_path / 'sound.pth'
    torch.save({'w': torch.zeros(1)}, path)
    with (
        safe_loaders,
        pytest.raises((RuntimeError, AssertionError)) as caught,
    ):
        CheckpointLoader.load_checkpoint(
            str(path), map_location='cuda:99', logger='silent'
        )
    assert 'damaged' not in str(caught.value)


def test_a_missing_checkpoint_is_still_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_checkpoint_file(tmp_path / 'none.pth')
    assert isinstance(caught.value, MissingCheckpointError)
    assert isinstance(caught.value, UserError)


def test_mmengines_loaders_refuse_code_while_replaced(tmp_path, canary):
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': Call(os.system, f'touch "{canary}"')}, path)
    for loader in (
        CheckpointLoader.load_checkpoint,
        functools.partial(load_checkpoint, nn.Linear(1, 1)),
        lambda name: ToyModel(
            init_cfg={'type': 'Pretrained', 'checkpoint': name}
        ).init_weights(),
    ):
        with safe_loaders:
            assert_refused(path, 'posix.system', loader)


def test_no_environment_variable_lets_code_run(tmp_path, canary, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path = tmp_path / 'hostile.pth'
    torch.save({'state_dict': Call(os.system, f'touch "{canary}"')}, path)
    assert_refused(path, 'posix.system')


@pytest.fixture
def server(tmp_path, monkeypatch):
    """URL of a local server of ``tmp_path``; downloads are cached in it."""
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


def test_code_in_a_download_is_refused(tmp_path, canary, server):
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


def test_a_run_resumes_with_its_log_history(tmp_path):
    toy_runner(tmp_path, max_epochs=1).train()
    checkpoint = load_checkpoint_file(tmp_path / 'epoch_1.pth')
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert type(history) is HistoryBuffer
    assert len(history.data[0]) == 2

    runner = toy_runner(tmp_path, max_epochs=2, resume=True)
    with safe_loaders:
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
    with safe_loaders:
        assert_refused(path, 'posix.system', lambda _: runner.train())
