"""The learning rate of each layer, worked by hand."""

import pytest
from mmaction.registry import MODELS
from mmengine.optim import build_optim_wrapper
from small_recipe import recognizer
from torch import nn

from dvfl_mmaction import UserError

# Blocks 1 in stage 0; 2 and 3 in stage 1; the head is layer 4.
BY_LAYER = {
    'backbone.patch_embed.proj.weight': 1 / 16,
    'backbone.patch_embed.norm.bias': 1 / 16,
    'backbone.layers.0.blocks.0.mlp.fc1.weight': 1 / 8,
    'backbone.layers.0.downsample.proj.weight': 1 / 4,
    'backbone.layers.1.blocks.0.modulation.f.weight': 1 / 4,
    'backbone.layers.1.blocks.1.norm1.weight': 1 / 2,
    'backbone.norm.weight': 1,
    'cls_head.fc_cls.weight': 1,
}
# Stages 1 and 2; the head is layer 3.
BY_STAGE = {
    'backbone.patch_embed.proj.weight': 1 / 8,
    'backbone.layers.0.blocks.0.mlp.fc1.weight': 1 / 4,
    'backbone.layers.0.downsample.proj.weight': 1 / 2,
    'backbone.layers.1.blocks.0.modulation.f.weight': 1 / 2,
    'backbone.layers.1.blocks.1.norm1.weight': 1 / 2,
    'backbone.norm.weight': 1,
    'cls_head.fc_cls.weight': 1,
}


def build(model=None, **paramwise_cfg):
    if model is None:
        config = recognizer()
        config['backbone']['arch'] = dict(embed_dim=8, depths=(1, 2))
        model = MODELS.build(config)
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor='LayerDecayOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1),
            paramwise_cfg=paramwise_cfg,
        ),
    )
    options = {
        id(param): group
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    return wrapper, {
        name: options[id(param)] for name, param in model.named_parameters()
    }


@pytest.mark.parametrize(
    'kind, expected', [('layer_wise', BY_LAYER), ('stage_wise', BY_STAGE)]
)
def test_the_learning_rate_halves_per_layer(kind, expected):
    _, options = build(decay_rate=0.5, decay_type=kind)
    assert {name: options[name]['lr'] for name in expected} == expected


def test_norms_and_biases_keep_their_rules():
    wrapper, options = build(
        decay_rate=0.5,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        bias_lr_mult=3.0,
        custom_keys={'fc_cls': dict(lr_mult=5)},
    )
    block = 'backbone.layers.0.blocks.0'
    assert options[f'{block}.norm1.weight']['weight_decay'] == 0
    assert options[f'{block}.mlp.fc1.bias']['weight_decay'] == 0
    assert options[f'{block}.mlp.fc1.bias']['lr'] == 3 / 8
    assert options[f'{block}.norm1.bias']['lr'] == 1 / 8
    assert options[f'{block}.mlp.fc1.weight']['weight_decay'] == 0.1
    assert options['cls_head.fc_cls.weight']['lr'] == 5
    # Per layer 0 to 3: weights, norms, biases; then the norm and the head.
    assert len(wrapper.optimizer.param_groups) == 4 * 3 + 2


def test_groups_of_equal_options_are_merged():
    wrapper, _ = build(decay_rate=0.5)
    rates = [group['lr'] for group in wrapper.optimizer.param_groups]
    assert rates == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]


def test_a_rate_of_one_changes_nothing():
    wrapper, _ = build(decay_rate=1)
    assert [g['lr'] for g in wrapper.optimizer.param_groups] == [1.0]


@pytest.mark.parametrize(
    'options, message',
    [
        ({}, 'decay_rate is None; give a factor'),
        (dict(decay_rate=1.5), 'decay_rate is 1.5'),
        (dict(decay_rate=0.5, decay_type='block'), 'layer_wise, stage_wise'),
        (dict(decay_rat=0.5), "'decay_rat'; did you mean 'decay_rate'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(nn.Linear(1, 1), **options)


def test_another_backbone_is_refused():
    with pytest.raises(UserError, match='the backbone is Linear'):
        build(nn.Linear(1, 1), decay_rate=0.5)
