"""Merged parameter groups train the same, and load the states of others."""

import copy

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.optim import build_optim_wrapper
from small_recipe import recognizer

MERGED = 'MergedOptimWrapperConstructor'
DECAY = dict(norm_decay_mult=0.0, bias_decay_mult=0.0)


def build(constructor, optimizer, paramwise_cfg=DECAY):
    torch.manual_seed(0)
    model = MODELS.build(recognizer()['backbone'])
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor=constructor,
            optimizer=optimizer,
            paramwise_cfg=paramwise_cfg,
        ),
    )
    return model, wrapper


def step(model, wrapper, times):
    for seed in range(times):
        generator = torch.Generator().manual_seed(seed)
        clip = torch.rand(1, 3, 2, 32, 32, generator=generator)
        model.train()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            wrapper.update_params(model(clip).square().mean())


OPTIMIZERS = {
    'SGD': dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
    'AdamW': dict(type='AdamW', lr=0.01, weight_decay=0.1),
}


@pytest.mark.parametrize('optimizer', OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_is_equal_to_the_bit(optimizer):
    plain, wrapper = build('DefaultOptimWrapperConstructor', optimizer)
    merged, merged_wrapper = build(MERGED, optimizer)
    assert len(wrapper.optimizer.param_groups) > 20
    assert len(merged_wrapper.optimizer.param_groups) == 2
    decays = [g['weight_decay'] for g in merged_wrapper.optimizer.param_groups]
    assert sorted(decays) == [0.0, 0.1]
    step(plain, wrapper, 3)
    step(merged, merged_wrapper, 3)
    for (name, one), other in zip(
        plain.named_parameters(), merged.parameters(), strict=True
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize('optimizer', OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_state_of_single_groups_is_loaded(optimizer):
    plain, wrapper = build('DefaultOptimWrapperConstructor', optimizer)
    step(plain, wrapper, 2)
    for group in wrapper.optimizer.param_groups:
        group['lr'] = 0.03
    merged, merged_wrapper = build(MERGED, optimizer)
    merged.load_state_dict(plain.state_dict())
    merged_wrapper.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    assert {g['lr'] for g in merged_wrapper.optimizer.param_groups} == {0.03}
    step(plain, wrapper, 2)
    step(merged, merged_wrapper, 2)
    for (name, one), other in zip(
        plain.named_parameters(), merged.parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def test_a_state_of_other_groups_is_left_to_pytorch():
    _, wrapper = build(MERGED, OPTIMIZERS['SGD'])
    state = wrapper.state_dict()
    state['param_groups'].append(state['param_groups'][0])
    with pytest.raises(ValueError, match='number of parameter groups'):
        wrapper.load_state_dict(state)


def test_its_own_state_is_loaded_unchanged():
    model, wrapper = build(MERGED, OPTIMIZERS['AdamW'])
    step(model, wrapper, 2)
    state = wrapper.state_dict()
    again, again_wrapper = build(MERGED, OPTIMIZERS['AdamW'])
    again_wrapper.load_state_dict(state)
    for key, values in state['state'].items():
        for name, value in values.items():
            loaded = again_wrapper.state_dict()['state'][key][name]
            assert torch.equal(value, loaded), name


def test_custom_keys_keep_groups_of_their_own():
    custom = dict(custom_keys={'patch_embed': dict(lr_mult=0.5)})
    _, wrapper = build(MERGED, OPTIMIZERS['SGD'], custom)
    assert sorted(g['lr'] for g in wrapper.optimizer.param_groups) == [
        0.05,
        0.1,
    ]


def test_without_options_there_is_one_group():
    _, wrapper = build(MERGED, OPTIMIZERS['SGD'], None)
    assert len(wrapper.optimizer.param_groups) == 1
