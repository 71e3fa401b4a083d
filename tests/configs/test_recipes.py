"""Recipes for other data sets than the papers'."""

import ast
import inspect
from pathlib import Path

import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from project_configs import build_without_weights, load
from torch.optim import AdamW

from dvfl_mmaction.engine.config_checks import (
    TOOL_KEYS,
    check_keys,
    check_schedule,
)
from dvfl_mmaction.engine.options import apply_options

CONFIGS = Path(__file__).parents[2] / 'configs'
# MMAction2's inference and the option tensorboard read the first four;
# CheckedRunner refuses the others where they change nothing.
READ = {
    *('train_pipeline', 'val_pipeline', 'test_pipeline', 'vis_backends'),
    *('num_classes', 'data_root'),
}


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.rglob('*.py')), ids=lambda path: path.stem
)
def test_no_variable_is_left_that_nothing_reads(path):
    """As an option it would change nothing, without an error."""
    left = set()
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        names = {getattr(t, 'id', None) for t in getattr(node, 'targets', ())}
        left = left - names if isinstance(node, ast.Delete) else left | names
    known = set(inspect.signature(Runner.__init__).parameters) | TOOL_KEYS
    assert left - {None, '_base_'} <= known | READ


@pytest.mark.parametrize(
    'name, base, loss',
    [
        ('recipes/vflnet_small_data.py', 'vflnet_ucf101.py', {}),
        (
            'recipes/vflnet_kd_small_data.py',
            'vflnet_kd_ucf101.py',
            dict(
                loss_kd=dict(type='KLDivergenceLoss', temperature=4.0),
                alpha=0.7,
            ),
        ),
    ],
)
def test_the_recipe_for_few_clips_changes_only_the_training(name, base, loss):
    cfg, papers = load(name), load(base)
    check_keys(cfg)
    apply_options(cfg)
    apply_options(papers)
    check_schedule(cfg)
    papers.model.data_preprocessor.blending = None
    assert cfg.model == dict(papers.model, **loss)
    assert cfg.val_dataloader == papers.val_dataloader
    assert cfg.default_hooks == papers.default_hooks
    wrapper = build_optim_wrapper(
        build_without_weights(cfg.model), cfg.optim_wrapper
    )
    assert type(wrapper.optimizer) is AdamW
    assert wrapper.optimizer.defaults['lr'] == 1e-4
    decays = {g['weight_decay'] for g in wrapper.optimizer.param_groups}
    assert decays == {0.0, 0.05}
    spans = [(part.begin, part.end) for part in cfg.param_scheduler]
    assert spans == [(0, 4), (4, 40)] and cfg.train_cfg.max_epochs == 40
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandomResizedCrop'].area_range == (0.7, 1.0)
    jitter = steps['ClipColorJitter']
    assert (jitter.brightness, jitter.contrast) == (0.2, 0.2)
    assert steps['ClipGrayscale'].prob == 0
