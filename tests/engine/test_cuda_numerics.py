"""TF32 is set for a run only; determinism overrules cuDNN's benchmark."""

import os

import pytest
import torch
from mmaction.registry import HOOKS, RUNNERS
from mmengine.hooks import Hook
from small_recipe import recipe, recognizer, run
from torch import backends

from dvfl_mmaction import UserError

SEEN = []


def settings():
    return backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32


@HOOKS.register_module()
class SettingsHook(Hook):
    """Notes the settings in each mode."""

    def _after_iter(self, runner, *args, mode='train', **kwargs):
        SEEN.append((mode, *settings()))


@pytest.mark.parametrize('tf32', [True, False, None])
def test_tf32_is_set_while_a_run_lasts(data, tmp_path, tf32):
    before = settings()
    assert before == (False, True)  # PyTorch's own
    config = recipe(
        recognizer(), data, tmp_path, custom_hooks=[dict(type='SettingsHook')]
    )
    config['train_cfg']['max_epochs'] = 1
    if tf32 is not None:
        config['tf32'] = tf32
    SEEN.clear()
    run(config)
    wanted = before if tf32 is None else (tf32, tf32)
    assert set(SEEN) == {('train', *wanted), ('val', *wanted)}
    assert settings() == before
    if tf32:
        config['experiment_name'] = 'testing'
        SEEN.clear()
        run(config, 'test')
        assert set(SEEN) == {('test', True, True)} and settings() == before


def test_tf32_is_restored_after_an_error(data, tmp_path):
    before = settings()
    config = recipe(recognizer(), data, tmp_path, tf32=True)
    runner = RUNNERS.build(config)
    runner.register_hook(FailingHook())
    with pytest.raises(ZeroDivisionError):
        runner.train()
    assert settings() == before


class FailingHook(Hook):
    def before_train_iter(self, runner, *args, **kwargs):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('tf32', 'high', "tf32 is 'high'; give True, False"),
        ('tf_32', True, "'tf_32' is unknown; did you mean 'tf32'"),
    ],
)
def test_a_wrong_option_is_refused(data, tmp_path, key, value, message):
    config = recipe(recognizer(), data, tmp_path, **{key: value})
    with pytest.raises(UserError, match=message):
        RUNNERS.build(config)


@pytest.fixture
def restored():
    """Restore what MMEngine sets for the rest of the process."""
    names = ('benchmark', 'deterministic')
    before = [getattr(backends.cudnn, name) for name in names]
    yield
    for name, value in zip(names, before, strict=True):
        setattr(backends.cudnn, name, value)
    torch.use_deterministic_algorithms(False)


def test_determinism_overrules_the_benchmark(
    data, tmp_path, monkeypatch, restored
):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', '')
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG')
    config = recipe(recognizer(), data, tmp_path)
    config['env_cfg']['cudnn_benchmark'] = True
    RUNNERS.build(config)
    assert backends.cudnn.benchmark
    assert 'CUBLAS_WORKSPACE_CONFIG' not in os.environ
    config['experiment_name'] = 'deterministic'
    config['randomness'] = dict(seed=0, deterministic=True)
    RUNNERS.build(config)
    assert not backends.cudnn.benchmark and backends.cudnn.deterministic
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':4096:8'
