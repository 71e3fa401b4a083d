"""Scalars that are read later equal those that MMEngine reads at once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from small_recipe import distiller, random_recipe, write_teacher

from dvfl_mmaction.engine import deferred_scalars
from dvfl_mmaction.engine.checked_runner import CheckedRunner
from dvfl_mmaction.engine.deferred_scalars import DeferredMessageHub

TIMES = {'time', 'data_time'}


class EagerRunner(CheckedRunner):
    """Logs as MMEngine does."""

    build_message_hub = Runner.build_message_hub
    build_optim_wrapper = Runner.build_optim_wrapper


def train(kind, data, folder, **kwargs):
    config = random_recipe(
        distiller(write_teacher(folder / 'teacher.pth')),
        data,
        folder / kind.__name__,
        **kwargs,
    )
    config['optim_wrapper']['clip_grad'] = dict(max_norm=0.5)
    config['train_dataloader']['batch_size'] = 2  # 6 batches
    config['train_cfg']['max_epochs'] = 1
    config['default_hooks']['logger'] = dict(type='LoggerHook', interval=2)
    runner = kind.from_cfg(Config(config))
    runner.train()
    return runner


def logged(runner):
    """Lines of scalars.json, without times, in their order."""
    path = Path(runner.log_dir) / 'vis_data/scalars.json'
    lines = map(json.loads, path.read_text().splitlines())
    return [[i for i in x.items() if i[0] not in TIMES] for x in lines]


def assert_equal_history(one, other):
    assert list(one) == list(other)  # in order
    for name in one:
        if name.rpartition('/')[2] in TIMES:
            continue
        for ours, theirs in zip(one[name], other[name], strict=True):
            assert ours.dtype == theirs.dtype, name
            assert np.array_equal(ours, theirs), name


def history(hub):
    return {name: buffer.data for name, buffer in hub.log_scalars.items()}


def test_a_training_logs_the_values_of_mmengine(data, tmp_path):
    eager = train(EagerRunner, data, tmp_path)
    ours = train(CheckedRunner, data, tmp_path)
    assert type(eager.message_hub) is MessageHub
    assert type(ours.message_hub) is DeferredMessageHub
    assert_equal_history(history(ours.message_hub), history(eager.message_hub))
    assert len(history(ours.message_hub)['train/grad_norm'][0]) == 6
    assert len(logged(ours)) >= 3 and logged(ours) == logged(eager)
    saved = [
        torch.load(f'{r.work_dir}/epoch_1.pth', weights_only=True)
        for r in (ours, eager)
    ]
    assert_equal_history(
        *(
            {
                k: (v['values'].numpy(), v['counts'].numpy())
                for k, v in s.items()
            }
            for s in (part['log_history'] for part in saved)
        )
    )


def update(hub):
    for i in range(4):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            value = torch.tensor([1 / 3 + i], dtype=dtype)
            hub.update_scalar(f'train/{dtype}', value)
            value.zero_()  # by the model, afterwards
        hub.update_scalar('train/number', torch.tensor(2 + i), count=3)
        hub.update_scalar('train/flag', torch.tensor(i > 2), resumed=False)
        hub.update_scalar('train/host', 0.1 * i)
        mixed = torch.tensor(7.5) if i % 2 else 1
        hub.update_scalar('train/mixed', mixed)
    hub.update_scalars({'a': torch.tensor(float('nan')), 'b': 2})


def test_every_kind_of_value_is_kept():
    ours, theirs = DeferredMessageHub('ours'), MessageHub('theirs')
    for hub in (ours, theirs):
        update(hub)
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours['resumed_keys'] == theirs['resumed_keys']
    ours, theirs = (
        {k: b.data for k, b in s['log_scalars'].items()}
        for s in (ours, theirs)
    )
    assert np.isnan(ours.pop('a')[0]) and np.isnan(theirs.pop('a')[0])
    assert_equal_history(ours, theirs)


def test_a_name_that_is_read_leaves_others_on_the_device(monkeypatch):
    reads = []

    def read(tensors):
        reads.append(len(tensors))
        return [tensor.item() for tensor in tensors]

    monkeypatch.setattr(deferred_scalars, 'read_scalars', read)
    hub = DeferredMessageHub('hub')
    for i in range(3):
        hub.update_scalar('loss', torch.tensor(float(i)))
        hub.update_scalar('norm', torch.tensor(-float(i)))
        hub.update_scalar('time', 0.5)
        assert hub.get_scalar('time').current() == 0.5
    assert reads == []
    assert hub.get_scalar('loss').current() == 2
    assert hub.get_scalar('norm').current() == -2
    assert reads == [6]
    monkeypatch.setattr(deferred_scalars, 'MAX_UNREAD', 2)
    for i in range(4):
        hub.update_scalar('loss', torch.tensor(float(i)))
    assert reads == [6, 2, 2]
    with pytest.raises(KeyError, match='absent'):
        hub.get_scalar('absent')
    with pytest.raises(AssertionError):
        hub.update_scalar('loss', torch.zeros(2))


def test_mmengine_finds_the_hub_of_a_run():
    hub = DeferredMessageHub.get_instance('a deferred hub')
    assert MessageHub.get_instance('a deferred hub') is hub
    assert MessageHub.get_current_instance() is hub
