"""A resumed run ends with the weights of an uninterrupted one."""

import random
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from small_recipe import random_recipe, recognizer, run
from warm_process import run_script

from dvfl_mmaction.engine import StreamTrainLoop, stream_train_loop
from dvfl_mmaction.random_state import preserve_rng_state


def random_run(data, work_dir, num_workers=0, **kwargs):
    """A recipe with all random draws, including dropout."""
    model = recognizer()
    model['cls_head']['dropout_ratio'] = 0.2
    config = random_recipe(
        model,
        data,
        work_dir,
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=6)
        ],
        **kwargs,
    )
    config['train_dataloader'].update(batch_size=2, num_workers=num_workers)
    return config


@HOOKS.register_module()
class StopAt(Hook):
    """Interrupt training at an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


def last_weights(work_dir):
    saved = torch.load(work_dir / 'iter_12.pth', weights_only=True)
    return saved['state_dict'], saved['optimizer']['state']


def assert_equal_to_the_bit(one, other):
    for name, value in one[0].items():
        assert torch.equal(value, other[0][name]), name
    for key, state in one[1].items():
        for name, value in state.items():
            assert torch.equal(
                torch.as_tensor(value), torch.as_tensor(other[1][key][name])
            )


@pytest.fixture(scope='module')
def uninterrupted(data, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    run(random_run(data, work_dir))  # 2 epochs of 6 batches
    return last_weights(work_dir)


@pytest.mark.parametrize(
    ('iteration', 'num_workers'), [(1, 0), (4, 2), (6, 0), (9, 2), (11, 0)]
)
def test_a_resumed_run_ends_with_the_same_weights(
    data, uninterrupted, tmp_path, iteration, num_workers
):
    config = random_run(
        data, tmp_path, custom_hooks=[dict(type='StopAt', iteration=iteration)]
    )
    with pytest.raises(KeyboardInterrupt):
        run(config)
    assert not (tmp_path / f'iter_{iteration + 1}.pth').exists()
    # The resumed run has other workers and another seed in its config; the
    # checkpoint's seed is used.
    run(
        random_run(
            data,
            tmp_path,
            num_workers,
            resume=True,
            randomness=dict(seed=5),
        )
    )
    assert_equal_to_the_bit(last_weights(tmp_path), uninterrupted)


def test_a_killed_process_can_be_resumed(data, uninterrupted, tmp_path):
    config = random_run(
        data, tmp_path / 'work', custom_hooks=[dict(type='KillAt')]
    )
    Config(config).dump(str(tmp_path / 'config.py'))
    (tmp_path / 'train.py').write_text(KILLED)
    done = run_script('train.py', cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    run(random_run(data, tmp_path / 'work', resume=True))
    assert_equal_to_the_bit(last_weights(tmp_path / 'work'), uninterrupted)


KILLED = """
import os
import signal
from mmaction.registry import HOOKS, RUNNERS
from mmengine.config import Config
from mmengine.hooks import Hook
import dvfl_mmaction


@HOOKS.register_module()
class KillAt(Hook):
    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 7:
            os.kill(os.getpid(), signal.SIGKILL)


RUNNERS.build(Config.fromfile('config.py')).train()
"""


def test_another_seed_gives_other_weights(data, uninterrupted, tmp_path):
    run(random_run(data, tmp_path, randomness=dict(seed=1)))
    weights, _ = last_weights(tmp_path)
    assert not torch.equal(
        weights['cls_head.fc_cls.weight'],
        uninterrupted[0]['cls_head.fc_cls.weight'],
    )


def test_other_samplers_train_too(data, tmp_path):
    config = random_run(data, tmp_path)
    config['train_dataloader']['sampler'] = dict(
        type='DefaultSampler', shuffle=True
    )
    run(config)
    assert (tmp_path / 'iter_12.pth').is_file()


def test_every_process_draws_its_own_numbers(monkeypatch):
    loop = SimpleNamespace(runner=SimpleNamespace(seed=1), _iter=5)

    def draws(rank):
        monkeypatch.setattr(stream_train_loop, 'get_rank', lambda: rank)
        with preserve_rng_state():
            StreamTrainLoop.seed_iteration(loop)
            return random.random(), np.random.random(), torch.rand(1).item()

    assert draws(0) == draws(0)
    for one, other in zip(draws(0), draws(1), strict=True):
        assert one != other
