"""Checkpoints of a run load anywhere, and a run replaces nothing for good."""

import numpy as np
import pytest
import torch
from mmaction.models.heads.base import BaseHead
from mmaction.registry import HOOKS, MODELS, RUNNERS
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from small_recipe import recipe, recognizer, run

from dvfl_mmaction.checkpoints.safe_globals import global_name
from dvfl_mmaction.checkpoints.safe_loading import load_from_local
from dvfl_mmaction.compat import run_repairs

seen = []


@HOOKS.register_module()
class AwkwardValues(Hook):
    """Put values into a run that are not plain, and note what is replaced."""

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        seen.append(replaceable())
        runner.message_hub.update_info_dict(
            dict(best_score=np.float64(0.5), rates=np.arange(3.0))
        )
        runner.message_hub.update_scalar('train/extra', batch_idx / 3)


def replaceable():
    """What a run replaces, by identity."""
    return dict(
        mmengine_checkpoint.CheckpointLoader._schemes,
        load_url=mmengine_checkpoint.load_url,
        loss_by_feat=vars(BaseHead)['loss_by_feat'],
        predict_by_feat=vars(BaseHead)['predict_by_feat'],
        # torch itself allows more when it imports more.
        allowed={
            name
            for name in map(
                global_name, torch.serialization.get_safe_globals()
            )
            if not name.startswith('torch.')
        },
    )


def config_of(data, work_dir, **kwargs):
    epochs = kwargs.pop('epochs', 1)
    hooks = [dict(type='AwkwardValues')]
    config = recipe(recognizer(), data, work_dir, custom_hooks=hooks, **kwargs)
    config['train_cfg']['max_epochs'] = epochs
    return config


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """The folder, runner and replaced functions of a run of one epoch."""
    folder = tmp_path_factory.mktemp('trained')
    seen.clear()
    before = replaceable()
    runner = run(config_of(data, folder))
    return folder, runner, before, seen[-1]


def test_a_run_replaces_functions_and_restores_them(trained):
    _, _, before, during = trained
    assert replaceable() == before
    assert during[''] is load_from_local
    for name in ('loss_by_feat', 'predict_by_feat', 'load_url'):
        assert during[name] is not before[name]
    assert during['allowed'] == before['allowed']


def test_nested_use_and_errors_restore_everything():
    before = replaceable()
    with pytest.raises(ZeroDivisionError), run_repairs:
        with run_repairs:
            during = replaceable()
        assert replaceable() == during != before
        _ = 1 / 0
    assert replaceable() == before


def test_functions_that_others_replace_in_a_run_stay(monkeypatch):
    schemes = mmengine_checkpoint.CheckpointLoader._schemes
    monkeypatch.setitem(schemes, 'mmcls://', schemes['mmcls://'])
    monkeypatch.setattr(
        BaseHead, 'loss_by_feat', vars(BaseHead)['loss_by_feat']
    )
    with run_repairs:
        schemes['mmcls://'] = BaseHead.loss_by_feat = len
    assert schemes['mmcls://'] is len
    assert vars(BaseHead)['loss_by_feat'] is len


def test_torch_and_mmengine_load_a_checkpoint_without_an_allow_list(trained):
    path = str(trained[0] / 'epoch_1.pth')
    saved = torch.load(path, weights_only=True)
    assert type(saved['message_hub']['runtime_info']['best_score']) is float
    model = MODELS.build(recognizer())
    load_checkpoint(model, path, logger='silent')
    wanted = trained[1].model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def test_resuming_restores_the_history_of_the_log(trained, data):
    folder, runner, *_ = trained
    before = {
        name: (*buffer.data, buffer.max_length)
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith('train/')
    }
    config = config_of(data, folder, resume=True, experiment_name='again')
    config['load_from'] = str(folder / 'epoch_1.pth')
    resumed = run(config)
    assert resumed.epoch == 1
    after = resumed.message_hub.log_scalars
    assert {'train/loss', 'train/extra'} <= before.keys()
    for name, (values, counts, max_length) in before.items():
        assert type(after[name]) is HistoryBuffer
        for got, wanted in zip(
            after[name].data, (values, counts), strict=True
        ):
            np.testing.assert_array_equal(got, wanted, strict=True)
        assert after[name].max_length == max_length
    hubs = resumed.message_hub, runner.message_hub
    saved, wanted = (hub.state_dict()['resumed_keys'] for hub in hubs)
    assert saved == {
        name: value
        for name, value in wanted.items()
        if not name.startswith('val/')  # logged after the checkpoint
    }


def test_mmengines_own_runner_resumes_without_warnings(
    trained, data, tmp_path
):
    config = config_of(data, tmp_path, resume=True, epochs=2)
    config['load_from'] = str(trained[0] / 'epoch_1.pth')
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.epoch == 2
    (log,) = tmp_path.glob('*/*.log')
    assert 'resumed epoch: 1, iter: 3' in log.read_text()
    assert 'just skip' not in log.read_text()


def test_a_checkpoint_of_mmengine_is_resumed_with_its_history(
    trained, data, tmp_path
):
    path = tmp_path / 'old.pth'
    saved = torch.load(trained[0] / 'epoch_1.pth', weights_only=True)
    history = saved.pop('log_history')['train/loss']
    buffer = HistoryBuffer(
        history['values'].numpy(), history['counts'].numpy()
    )
    saved['message_hub']['log_scalars'] = {'train/loss': buffer}
    saved['message_hub']['resumed_keys']['train/loss'] = True
    torch.save(saved, path)
    config = config_of(data, tmp_path, resume=True, epochs=2)
    runner = run(config | dict(load_from=str(path)))
    resumed = runner.message_hub.log_scalars['train/loss'].data[0]
    np.testing.assert_array_equal(
        resumed[: len(buffer.data[0])], buffer.data[0]
    )
    assert len(resumed) > len(buffer.data[0])


def test_a_test_reads_the_checkpoints_of_mmengine(data, tmp_path):
    path = tmp_path / 'zoo.pth'
    torch.save(
        dict(
            meta=dict(epoch=1, words=np.float32(1)),
            state_dict=MODELS.build(recognizer()).state_dict(),
            message_hub=dict(log_scalars={'loss': HistoryBuffer([1.0], [1])}),
        ),
        path,
    )
    config = config_of(data, tmp_path, load_from=str(path))
    assert 'acc/top1' in RUNNERS.build(config).test()
