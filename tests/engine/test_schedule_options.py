"""Options that change the number of epochs and the warm-up."""

import copy

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.config_checks import check_schedule
from dvfl_mmaction.engine.schedule_options import (
    apply_schedule,
    uneven_schedule,
    without_single_steps,
)

BY_EPOCH = [
    dict(type='LinearLR', begin=0, end=20, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=20,
        end=120,
        T_max=100,
        convert_to_iter_based=True,
    ),
]
BY_ITERATION = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', begin=0, end=8, convert_to_iter_based=True),
]


def config(parts=BY_EPOCH, epochs_before=120, val_interval=1, **options):
    loop = dict(
        type='StreamTrainLoop',
        max_epochs=epochs_before,
        val_begin=2,
        val_interval=val_interval,
    )
    parts = copy.deepcopy(parts)
    return dict(train_cfg=loop, param_scheduler=parts, **options)


def spans(cfg):
    return [(p.get('begin', 0), p['end']) for p in cfg['param_scheduler']]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(epochs=30), [(0, 5), (5, 30)]),
        (dict(epochs=240), [(0, 40), (40, 240)]),
        (dict(epochs=50), [(0, 8), (8, 50)]),
        (dict(epochs=3), [(0, 0.5), (0.5, 3)]),
        (dict(epochs=9), [(0, 2), (2, 9)]),
        (dict(epochs=30, warmup_epochs=2), [(0, 2), (2, 30)]),
        (dict(warmup_epochs=0.5), [(0, 0.5), (0.5, 120)]),
        (dict(epochs=30, warmup_epochs=0), [(0, 30)]),
    ],
)
def test_warm_up_and_cosine_follow(options, expected):
    cfg = config(**options)
    apply_schedule(cfg)
    assert spans(cfg) == expected
    assert cfg['train_cfg']['max_epochs'] == options.get('epochs', 120)
    begin, end = expected[-1]
    assert cfg['param_scheduler'][-1]['T_max'] == end - begin
    before = copy.deepcopy(cfg)
    apply_schedule(cfg)
    assert cfg == before
    check_schedule(cfg)
    assert uneven_schedule(cfg) is None


@pytest.mark.parametrize(
    ('begin', 'converted'), [(20, True), (34, True), (34, False)]
)
def test_a_cosine_ends_with_its_part(begin, converted):
    parts = copy.deepcopy(BY_EPOCH)
    parts[0].update(end=begin, convert_to_iter_based=converted)
    parts[1].update(
        begin=begin, T_max=120 - begin, convert_to_iter_based=converted
    )
    for epochs in range(1, 130):
        cfg = config(parts, epochs=epochs)
        apply_schedule(cfg)
        cosine = cfg['param_scheduler'][1]
        assert cosine['T_max'] == cosine['end'] - cosine['begin'] > 0


def test_a_cosine_of_another_length_is_scaled_by_itself():
    parts = copy.deepcopy(BY_EPOCH)
    for length, scaled in ((52, 13), (200, 50)):
        parts[1]['T_max'] = length
        cfg = config(parts, epochs=30)
        apply_schedule(cfg)
        assert cfg['param_scheduler'][1]['T_max'] == scaled
    del parts[1]['end'], parts[1]['T_max']
    cfg = config(parts, epochs=30, epochs_before=20)
    apply_schedule(cfg)
    assert 'T_max' not in cfg['param_scheduler'][1]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(epochs=16), [(0, 60), (0, 16)]),
        (dict(epochs=2), [(0, 8), (0, 2)]),
        (dict(epochs=16, warmup_epochs=3), [(0, 3), (0, 16)]),
        (dict(warmup_epochs=0), [(0, 8)]),
    ],
)
def test_a_warm_up_by_iterations_follows(options, expected):
    cfg = config(BY_ITERATION, 8, val_interval=3, **options)
    apply_schedule(cfg)
    assert spans(cfg) == expected
    first, loop = cfg['param_scheduler'][0], cfg['train_cfg']
    if 'warmup_epochs' in options:
        assert first.get('by_epoch', True) and first['convert_to_iter_based']
    assert loop['val_interval'] == min(3, loop['max_epochs'])
    before = copy.deepcopy(cfg)
    apply_schedule(cfg)
    assert cfg == before


@pytest.mark.parametrize(('before', 'after'), [(3, 3), (4, 4), (5, 4)])
def test_only_an_interval_beyond_the_end_is_shortened(before, after):
    cfg = config(val_interval=before, epochs=4)
    apply_schedule(cfg)
    assert cfg['train_cfg']['val_interval'] == after


def test_an_equal_number_of_another_unit_does_not_follow_the_warm_up():
    """30 iterations of a warm-up, and a part from epoch 30 on."""
    parts = [BY_ITERATION[0], dict(type='StepLR', step_size=9, begin=30)]
    cfg = config(parts, warmup_epochs=2)
    apply_schedule(cfg)
    assert [p['begin'] for p in cfg['param_scheduler']] == [0, 30]


def test_milestones_and_several_optimizers_follow():
    steps = dict(type='MultiStepLR', milestones=[40, 80], end=120)
    parts = dict(first=[steps], second=copy.deepcopy(BY_EPOCH))
    cfg = config(parts, epochs=60)
    apply_schedule(cfg)
    assert parts != cfg['param_scheduler']
    assert cfg['param_scheduler']['first'][0] == dict(
        type='MultiStepLR', milestones=[20, 40], end=60
    )
    assert cfg['param_scheduler']['second'][1]['end'] == 60


@pytest.mark.parametrize(
    'part',
    [
        dict(type='ConstantLR', factor=1, end=5),  # keeps the rate
        dict(type='LinearLR', start_factor=0.1),  # never ends
    ],
)
def test_a_part_that_does_not_reach_another_rate_is_no_warm_up(part):
    with pytest.raises(UserError, match='has no warm-up'):
        apply_schedule(config([part], warmup_epochs=3))


def test_a_decay_from_the_start_is_no_warm_up():
    decay = [dict(type='LinearLR', start_factor=1, end_factor=0, end=120)]
    with pytest.raises(UserError, match='has no warm-up'):
        apply_schedule(config(decay, warmup_epochs=3))
    cfg = config(decay, warmup_epochs=0)
    apply_schedule(cfg)
    assert cfg['param_scheduler'] == decay


def test_epochs_replace_a_number_that_cut_the_schedule():
    cfg = config(BY_ITERATION, epochs_before=2, epochs=4)
    apply_schedule(cfg)
    assert cfg['train_cfg']['max_epochs'] == 4
    assert spans(cfg) == [(0, 15), (0, 4)]


@pytest.mark.parametrize(
    'options',
    [
        dict(epochs=0),
        dict(epochs=2.5),
        dict(epochs='30'),
        dict(epochs=True),
        dict(warmup_epochs=-1),
        dict(warmup_epochs='5'),
        dict(warmup_epochs=float('inf')),
    ],
)
def test_malformed_numbers_are_refused(options):
    (name,) = options
    with pytest.raises(UserError, match=f'^{name} is .*; give '):
        apply_schedule(config(**options))


def test_contradictory_numbers_are_refused():
    with pytest.raises(UserError, match='warmup_epochs is 30 .* has 30 ep'):
        apply_schedule(config(epochs=30, warmup_epochs=30))
    for parts, before in ((BY_EPOCH, 240), (BY_ITERATION, 60)):
        with pytest.raises(UserError, match=f'is {before}, .* only epochs'):
            apply_schedule(config(parts, before, epochs=8))
    iterations = dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=9))
    with pytest.raises(UserError, match='set train_cfg.max_iters'):
        apply_schedule(iterations | dict(epochs=3))


def test_without_a_training_or_schedule_nothing_is_needed():
    for cfg in (dict(epochs=3, train_cfg=None), dict(warmup_epochs=3)):
        before = copy.deepcopy(cfg)
        apply_schedule(cfg)
        assert cfg == before
    cfg = config(None, epochs=3, warmup_epochs=1)
    apply_schedule(cfg)
    assert cfg['train_cfg']['max_epochs'] == 3


def test_an_uneven_schedule_names_the_option():
    assert 'set epochs=3 instead' in uneven_schedule(config(epochs_before=3))
    assert uneven_schedule(config()) is uneven_schedule({}) is None
    cfg = config(epochs_before=3)
    cfg['param_scheduler'][1]['end'] = 3
    with pytest.raises(UserError, match='begins at 20 .* only epochs=3,'):
        check_schedule(cfg)


def test_a_schedule_that_ends_early_names_the_option():
    cfg = config(epochs_before=240)
    assert 'the last rate stays' in uneven_schedule(cfg)
    apply_schedule(cfg | dict(epochs=240))  # as the message says
    assert spans(cfg) == [(0, 40), (40, 240)]
    for parts in (
        BY_EPOCH[:1],  # the warm-up alone
        [*BY_EPOCH, dict(type='MultiStepLR', milestones=[200])],
        [dict(type='MultiStepLR', milestones=[60, 90])],
    ):
        assert uneven_schedule(config(parts, epochs_before=240)) is None


def test_a_variable_that_nothing_reads_is_refused():
    with pytest.raises(UserError, match='max_epochs is 30 .* set epochs'):
        check_schedule(config(max_epochs=30))
    scoped = config(max_epochs=30)
    scoped['train_cfg']['type'] = 'mmaction.StreamTrainLoop'
    with pytest.raises(UserError, match='max_epochs is 30 .* set epochs'):
        check_schedule(scoped)
    check_schedule(config(max_epochs=120))
    # A variable of MMAction2's recipes, which a command overrides.
    cfg = config(max_epochs=30)
    cfg['train_cfg']['type'] = 'EpochBasedTrainLoop'
    check_schedule(cfg)


@pytest.mark.parametrize(
    ('part', 'epoch_length', 'is_kept'),
    [
        (dict(end=0.5, convert_to_iter_based=True), 3, False),
        (dict(end=0.5, convert_to_iter_based=True), 4, True),
        (dict(end=1, by_epoch=False), 9, False),
        (dict(end=2, by_epoch=False), 9, True),
        (dict(end=1), 9, False),
    ],
)
def test_a_warm_up_of_one_step_is_left_out(part, epoch_length, is_kept):
    part = dict(type='LinearLR', start_factor=0.1, **part)
    cosine = dict(type='CosineAnnealingLR', end=9)
    kept = without_single_steps([part, cosine], epoch_length)
    assert kept == [part, cosine][not is_kept :]
    kept = without_single_steps(dict(a=[part], b=cosine), epoch_length)
    assert kept == dict(a=[part] * is_kept, b=cosine)
