"""Mixed precision and two processes on CPUs."""

import textwrap

import pytest
import torch
from mmaction.registry import OPTIM_WRAPPERS
from small_recipe import torchrun_variables
from torch import distributed, nn
from warm_process import run_in_parallel, run_main

import dvfl_mmaction.cpu as cpu

# A run by config: 2 processes, 4 samples, 1 epoch.
TRAIN = """
import sys
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import distributed, nn


@MODELS.register_module()
class ToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.fc.weight)

    def forward(self, inputs, mode='tensor'):
        out = self.fc(torch.stack(inputs))
        self.dtype = out.dtype
        return {'loss': (out.float() - 1).sum()}


cfg = Config.fromfile(sys.argv[1])
cfg.train_dataloader = dict(
    dataset=[{'inputs': torch.ones(1) * i} for i in range(4)],
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
)
runner = Runner.from_cfg(cfg)
runner.train()
weight = runner.model.module.fc.weight.item()
print('rank', runner.rank, 'of', runner.world_size, distributed.get_backend(),
      type(runner.model).__name__, runner.model.module.dtype, weight)
"""
# The documented lines, and what they leave to the user.
DOCUMENTED = cpu.__doc__.partition('::\n')[2].partition('\n``model')[0]
CONFIG = (
    textwrap.dedent(DOCUMENTED)
    + """
default_scope = 'mmaction'
launcher = 'pytorch'
model = dict(type='mmengine.ToyModel')
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper['optimizer'] = dict(type='SGD', lr=1.0)
work_dir = WORK_DIR
log_level = 'WARNING'
"""
)

needs_cpu_only = pytest.mark.skipif(
    torch.cuda.is_available(), reason='with CUDA no group is started'
)


def build(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return OPTIM_WRAPPERS.build(
        {'type': 'CPUAmpOptimWrapper', 'optimizer': optimizer, **kwargs}
    )


def test_the_forward_pass_is_bfloat16_and_the_weights_stay_fp32():
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    wrapper = build(model)
    with wrapper.optim_context(model):
        # 1 + 2**-9 needs more bits than bfloat16 has.
        out = model(torch.tensor([[1 + 2**-9]]))
    assert out.dtype == torch.bfloat16
    assert out.item() == 1.0
    wrapper.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32
    assert model.weight.item() == 0.5


def test_autocast_ends_with_the_context():
    model = nn.Linear(1, 1)
    with build(model).optim_context(model):
        assert torch.is_autocast_enabled('cpu')
    assert not torch.is_autocast_enabled('cpu')


def test_gradients_accumulate_as_in_the_plain_wrapper():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    wrapper = build(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    for value in (1.0, 3.0):
        with wrapper.optim_context(model):
            loss = model(torch.tensor([[value]])).float().sum()
        wrapper.update_params(loss)
    assert model.weight.item() == -0.5 * (1 + 3) / 2


def test_the_state_is_that_of_a_plain_wrapper():
    model = nn.Linear(1, 1)
    assert 'loss_scaler' not in build(model).state_dict()


def test_no_group_is_started_without_a_launcher(monkeypatch):
    for name in cpu.TORCHRUN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert not cpu.start_gloo()
    assert not distributed.is_initialized()


def test_no_group_is_started_with_cuda(monkeypatch):
    for name in cpu.TORCHRUN_VARIABLES:
        monkeypatch.setenv(name, '1')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert not cpu.start_gloo()
    assert not distributed.is_initialized()


@needs_cpu_only
def test_two_processes_train_together_on_cpus(tmp_path):
    (tmp_path / 'train.py').write_text(TRAIN, encoding='utf-8')
    config = CONFIG.replace('WORK_DIR', repr(str(tmp_path / 'run')))
    (tmp_path / 'config.py').write_text(config, encoding='utf-8')
    done = run_in_parallel(
        run_main,
        [(['train.py', 'config.py'],)] * 2,
        cwd=tmp_path,
        envs=torchrun_variables(2),
    )
    assert [one.returncode for one in done] == [0, 0], done
    ranks = [
        line
        for one in done
        for line in one.stdout.splitlines()
        if line.startswith('rank ')
    ]
    # Rank 0 sees the inputs 0 and 2, rank 1 sees 1 and 3: the gradients
    # 2 and 4 average to 3, and the learning rate is 1.
    wanted = 'gloo MMDistributedDataParallel torch.bfloat16 -3.0'
    assert ranks == [f'rank 0 of 2 {wanted}', f'rank 1 of 2 {wanted}']
