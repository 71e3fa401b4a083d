"""The papers' schedule, stepped through by the runner."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from dvfl_mmaction.engine.schedule_options import apply_schedule

CONFIG = Path(__file__).parents[2] / 'configs' / 'vflnet_ucf101.py'


def small_runner(tmp_path, batch_size, iterations, options=()):
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(dict(options))
    apply_schedule(cfg)
    cfg.model.backbone.arch = dict(embed_dim=4, depths=(1, 1, 1, 1))
    cfg.model.cls_head.in_channels = 32
    runner = Runner(
        model=cfg.model,
        work_dir=str(tmp_path),
        train_dataloader=DataLoader(
            range(batch_size * iterations), batch_size
        ),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        auto_scale_lr=cfg.auto_scale_lr,
        default_scope='mmaction',
        log_level='ERROR',
        experiment_name=f'{tmp_path.name}',
    )
    # As Runner.train() does before its loop.
    runner._train_loop = runner.build_train_loop(runner.train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers
    )
    return runner


@pytest.mark.parametrize(('batch_size', 'peak'), [(8, 0.1 / 64), (512, 0.1)])
def test_lr_rises_for_20_epochs_and_falls_for_100(tmp_path, batch_size, peak):
    runner = small_runner(tmp_path, batch_size, iterations=5)
    rates = []
    for _ in range(120 * 5):
        rates.append(runner.optim_wrapper.get_lr()['lr'][0])
        runner.optim_wrapper.step()  # no gradient, no change
        for scheduler in runner.param_schedulers:
            scheduler.step()
    # From 1 % to the peak in 100 iterations, or 99 steps.
    assert rates[0] == pytest.approx(0.01 * peak)
    assert rates[33] == pytest.approx((0.01 + 0.99 / 3) * peak)
    assert rates[99] == pytest.approx(peak)
    # Cosine over 500 iterations: half way down after 250, 1 % at the end.
    assert rates[350] == pytest.approx((1 + 0.01) / 2 * peak)
    assert rates[599] == pytest.approx(0.01 * peak, rel=2e-3)
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)


@pytest.mark.parametrize(
    'options',
    [
        dict(epochs=60),
        {'train_cfg.max_epochs': 60, 'param_scheduler.1.end': 60},
    ],
)
def test_a_shorter_schedule_ends_at_the_lowest_rate(tmp_path, options):
    runner = small_runner(tmp_path, 512, 5, options)
    rates = []
    for _ in range(60 * 5):
        rates.append(runner.optim_wrapper.get_lr()['lr'][0])
        runner.optim_wrapper.step()
        for scheduler in runner.param_schedulers:
            scheduler.step()
    assert rates[-1] == pytest.approx(0.001, rel=1e-2)
    # The warm-up of 20 of 120 epochs follows the option epochs.
    warmup = 50 if 'epochs' in options else 100
    assert rates.index(max(rates)) == warmup - 1


def test_norms_and_biases_are_not_decayed(tmp_path):
    runner = small_runner(tmp_path, 8, 1)
    names = {p: name for name, p in runner.model.named_parameters()}
    groups = runner.optim_wrapper.optimizer.param_groups
    assert sum(len(g['params']) for g in groups) == len(names)
    assert len(groups) == 2
    for group in groups:
        for parameter in group['params']:
            name = names[parameter]
            is_flat = parameter.dim() == 1
            assert is_flat == ('norm' in name or name.endswith('bias')), name
            assert group['weight_decay'] == (0 if is_flat else 1e-4), name
        assert group['momentum'] == 0.9 and group['nesterov']
    assert runner.optim_wrapper.clip_grad_kwargs == dict(max_norm=5)
