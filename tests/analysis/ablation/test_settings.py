"""Products of config values, by value."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from dvfl_mmaction.analysis.ablation.axes import (
    CHECKPOINT,
    LOSS_KD,
    Axis,
    add_teachers,
    axes_of,
    grid_axes,
    parse_values,
    vary_axis,
)
from dvfl_mmaction.analysis.ablation.settings import (
    Setting,
    make_settings,
    resolve,
)
from dvfl_mmaction.errors import UserError


def test_values_are_parsed_as_python_or_text():
    text = "1, 0.5,a/b.txt,true,none,[1, 2],{'x': 1, 'y': 2},'1,2',-3"
    assert parse_values(text) == [
        *(1, 0.5, 'a/b.txt', True, None, [1, 2]),
        *({'x': 1, 'y': 2}, '1,2', -3),
    ]
    assert parse_values('{[]: 1},0.5') == ['{[]: 1}', 0.5]


def test_an_axis_has_the_shortest_name_that_is_unique():
    axes = grid_axes(['a.lr=1,2', 'train.ann_file=x', 'test.ann_file=y'])
    names = [axis.name for axis in axes]
    assert names == ['lr', 'train.ann_file', 'test.ann_file']
    assert axes[0].choices == {1: {'a.lr': 1}, 2: {'a.lr': 2}}
    (axis,) = grid_axes(["a.prefix='',b"])
    assert list(axis.choices) == ['', 'b']


def test_true_and_1_are_two_values_of_an_axis():
    (axis,) = grid_axes(['a.clip=1,true,0,false'])
    values = [options['a.clip'] for options in axis.choices.values()]
    assert [repr(value) for value in values] == ['1', 'True', '0', 'False']


def test_settings_are_the_product_in_the_order_of_the_axes(config):
    made = make_settings(config, axes_of([0.1, 0.9], [2, 4]), {'epochs': 3})
    assert [s.name for s in made] == [
        'kd alpha=0.1 temperature=2',
        'kd alpha=0.1 temperature=4',
        'kd alpha=0.9 temperature=2',
        'kd alpha=0.9 temperature=4',
    ]
    assert made[1].options == {
        'epochs': 3,
        'model.alpha': 0.1,
        'model.loss_kd.temperature': 4,
    }


def test_a_loss_without_a_temperature_occurs_once(config):
    axes = axes_of(None, [2, 4], ['KLDivergenceLoss', 'WTTMLoss'])
    assert [s.name for s in make_settings(config, axes)] == [
        'kd loss=KLDivergenceLoss temperature=2',
        'kd loss=KLDivergenceLoss temperature=4',
        'kd loss=WTTMLoss',
    ]


def test_a_student_alone_leaves_out_what_belongs_to_the_teacher(plain):
    axes = axes_of([0.1, 0.9], [2], ['DISTLoss'], [3, 6])
    made = make_settings(plain, axes, {'model.teacher.checkpoint': 'x'})
    assert [s.name for s in made] == ['teacher epochs=3', 'teacher epochs=6']
    assert [s.options for s in made] == [{'epochs': 3}, {'epochs': 6}]


def test_another_loss_replaces_the_arguments_of_the_old_one(config):
    axes = axes_of(None, None, ['WTTMLoss', 'KLDivergenceLoss'])
    losses = [resolve(s).model.loss_kd for s in make_settings(config, axes)]
    assert losses == [
        dict(type='WTTMLoss'),
        dict(type='KLDivergenceLoss', temperature=10.0),
    ]


@pytest.mark.parametrize('how', ['class', 'scope', 'default'])
def test_a_loss_is_known_in_every_way_a_config_names_it(config, tmp_path, how):
    """By the class in MMEngine's new-style configs, or by no type."""
    text = Path(config).read_text()
    name = "type='KLDivergenceLoss'"
    head, end = '', {'scope': "type='mmaction.KLDivergenceLoss'"}.get(how, '')
    if how == 'class':
        head = 'from dvfl_mmaction.distillation import KLDivergenceLoss\n'
        end = 'type=KLDivergenceLoss'
    assert text.count(name) == 1
    path = tmp_path / 'other.py'
    path.write_text(head + text.replace(name, end))
    axes = axes_of(None, [2, 4], ['KLDivergenceLoss', 'WTTMLoss'])
    for one in (axes, axes[1:]):
        made = make_settings(str(path), one)
        assert [s.labels.get('temperature') for s in made][:2] == [2, 4]
    losses = axes_of(None, None, ['KLDivergenceLoss'])
    (setting,) = make_settings(str(path), losses)
    assert resolve(setting).model.loss_kd.temperature == 10.0


@pytest.fixture
def several(config, tmp_path):
    """The config of a distillation with a list of two losses."""
    cfg = Config.fromfile(config)
    cfg.model.loss_kd = [dict(type='DISTLoss'), dict(type='WTTMLoss', gamma=2)]
    cfg.dump(str(tmp_path / 'several.py'))
    return str(tmp_path / 'several.py')


def test_a_loss_with_its_type_replaces_the_old_one(config, several):
    dist, kl = dict(type='DISTLoss'), dict(type='KLDivergenceLoss')
    values = {'dist': dist, 'kl': kl, 'both': [dist, kl]}
    axis = Axis('losses', {k: {LOSS_KD: v} for k, v in values.items()})
    for path in (config, several):
        made = make_settings(path, [axis])
        losses = [resolve(s).to_dict()['model']['loss_kd'] for s in made]
        assert losses == [dist, kl, [dist, kl]]
    first = Axis('first', {'kl': {f'{LOSS_KD}.0': kl}})
    (setting,) = make_settings(several, [first])
    assert resolve(setting).model.loss_kd == [
        kl,
        dict(type='WTTMLoss', gamma=2),
    ]
    part = Axis('part', {'warm': {LOSS_KD: dict(temperature=4)}})
    (setting,) = make_settings(config, [part])
    assert resolve(setting).model.loss_kd == dict(kl, temperature=4)


def test_the_temperature_is_that_of_a_loss_that_has_one(config):
    wttm, kl = dict(type='WTTMLoss'), dict(type='KLDivergenceLoss')
    values = {'wttm': wttm, 'kl': kl, 'both': [wttm, kl]}
    axis = Axis('losses', {k: {LOSS_KD: v} for k, v in values.items()})
    made = make_settings(config, [*axes_of(None, [2, 4]), axis])
    assert [s.name for s in made] == [
        'kd losses=wttm',
        'kd losses=kl temperature=2',
        'kd losses=both',
        'kd losses=kl temperature=4',
    ]
    losses = [resolve(s).to_dict()['model']['loss_kd'] for s in made]
    warm = [dict(kl, temperature=t) for t in (2, 4)]
    assert losses == [wttm, warm[0], [wttm, kl], warm[1]]
    with pytest.raises(UserError, match='the key model.loss_kd'):
        make_settings(config, [*axes_of(None, None, ['DISTLoss']), axis])


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.loss_kd', {'temperature': 4}),
        ('model.loss_kd.temperature', 4),
        ('model.loss_kd.5.gamma', 4),
        ('model.alpha.x.y', 4),
    ],
)
def test_an_option_without_a_place_is_reported(several, key, value):
    setting = Setting(several, {}, {key: value})
    with pytest.raises(UserError, match=f'has no place for {key} '):
        resolve(setting)


def test_the_seed_is_that_of_the_run(config):
    (setting,) = make_settings(config, [])
    assert setting.name == 'kd' and resolve(setting, 7).randomness.seed == 7


def test_options_that_vary_together_are_one_axis(config, tmp_path):
    path = tmp_path / 'fold.json'
    train, test = (
        f'{k}_dataloader.dataset.ann_file' for k in ('train', 'test')
    )
    folds = {'1': {train: 'a', test: 'b'}, '2': {train: 'c', test: 'd'}}
    path.write_text(json.dumps(folds))
    assert vary_axis(str(path)) == Axis('fold', folds)
    made = make_settings(config, axes_of([0.1], vary=[str(path)]))
    assert [s.name for s in made] == [
        'kd alpha=0.1 fold=1',
        'kd alpha=0.1 fold=2',
    ]
    cfg = resolve(made[1])
    assert cfg.train_dataloader.dataset.ann_file == 'c'
    assert cfg.test_dataloader.dataset.ann_file == 'd'


@pytest.mark.parametrize(
    ('grid', 'message'),
    [
        (['lr'], '--grid lr is not KEY=VALUE,VALUE'),
        (['lr='], '--grid lr= is not KEY=VALUE,VALUE'),
        (['lr=1,'], '--grid lr=1, has an empty value; remove a comma'),
        (['lr=1, ,2'], 'has an empty value'),
        (['a.b=1', 'a.b=2'], 'a.b is given twice'),
        (['modl.a=1'], "no modl to set modl.a; did you mean 'model'"),
        (['alpha=2'], 'the name alpha'),
    ],
)
def test_mistakes_in_a_grid_are_reported(config, grid, message):
    with pytest.raises(UserError, match=message):
        make_settings(config, axes_of([0.1], grid=grid))


def test_an_axis_that_is_given_twice_is_refused(config):
    with pytest.raises(UserError, match='the key model.alpha'):
        make_settings(
            config,
            [
                Axis('alpha', {1: {'model.alpha': 1}}),
                Axis('weight', {2: {'model.alpha': 2}}),
            ],
        )


def test_an_unknown_loss_is_refused_with_the_likely_one(config):
    with pytest.raises(UserError, match="did you mean 'DISTLoss'"):
        make_settings(config, axes_of(None, [2], ['DISTLos']))


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"a": 1}'])
def test_a_file_without_settings_is_refused(tmp_path, text):
    (tmp_path / 'v.json').write_text(text)
    with pytest.raises(UserError, match='--vary .*v.json.*; give '):
        vary_axis(str(tmp_path / 'v.json'))


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('{"1": {"a": 1}, "2": {"a": 2}, "2": {"a": 3}}', '2'),
        ('{"1": {"a.b": 1, "c": 2, "a.b": 3}}', 'a.b'),
    ],
)
def test_a_name_that_a_file_of_settings_has_twice_is_refused(
    tmp_path, text, name
):
    path = tmp_path / 'v.json'
    path.write_text(text)
    with pytest.raises(UserError, match=f"'{name}' is there 2 times"):
        vary_axis(str(path))


def trained(value, seed=0, status='done', axis='folds', kind='alone'):
    checkpoint = f'{value}_{seed}.pth'
    labels = {axis: value} if axis else {}
    return dict(
        kind=kind,
        status=status,
        labels=labels,
        checkpoint=checkpoint,
    )


def test_each_fold_gets_its_own_teacher(config, plain):
    folds = {str(i): {'seed': i} for i in (1, 2)}
    axes = [Axis('alpha', {0.3: {'model.alpha': 0.3}}), Axis('folds', folds)]
    entries = [trained(i) for i in ('1', '2')]
    entries.append(trained('1', axis=None, kind='teacher'))
    given = add_teachers(axes, entries, 'out')
    assert given[0] is axes[0] and given[1].name == 'folds'
    assert given[1].choices == {
        i: {'seed': int(i), CHECKPOINT: f'{i}_0.pth'} for i in ('1', '2')
    }
    teachers = [s.options[CHECKPOINT] for s in make_settings(config, given)]
    assert teachers == ['1_0.pth', '2_0.pth']
    assert all(
        CHECKPOINT not in s.options for s in make_settings(plain, given)
    )


def test_what_all_teachers_share_does_not_tell_them_apart():
    folds = Axis('folds', {i: {'seed': i} for i in ('1', '2')})
    epochs = Axis('epochs', {40: {'epochs': 40}})
    shared = {'epochs': 30, 'optim_wrapper.optimizer.lr': 1e-3}
    entries = [trained('1'), trained('2')]
    for entry in entries:
        entry['labels'].update(shared)
    for axes in ([folds], [folds, epochs], [epochs, folds]):
        (given,) = [
            a for a in add_teachers(axes, entries, 'out') if a.name == 'folds'
        ]
        assert [o[CHECKPOINT] for o in given.choices.values()] == [
            '1_0.pth',
            '2_0.pth',
        ]


def test_a_teacher_of_one_fold_does_not_teach_another():
    entry = trained('1')
    entry['labels']['epochs'] = 40
    axes = [Axis('epochs', {40: {'epochs': 40}}), Axis('folds', {'2': {}})]
    with pytest.raises(UserError, match='0 finished teachers for folds 2'):
        add_teachers(axes, [entry], 'out')


def test_a_training_without_a_fold_is_no_teacher_of_one():
    axes = [Axis('folds', {'1': {'seed': 1}})]
    entries = [trained('1'), trained('all', axis=None)]
    (given,) = add_teachers(axes, entries, 'out')
    assert given.choices['1'][CHECKPOINT] == '1_0.pth'


def test_teachers_that_also_vary_are_refused():
    axes = [Axis('folds', {i: {'seed': i} for i in ('1', '2')})]
    entries = [trained('1'), trained('2')]
    for entry, epochs in zip(entries, (30, 40), strict=True):
        entry['labels']['epochs'] = epochs
    with pytest.raises(UserError, match='vary over epochs, folds'):
        add_teachers(axes, entries, 'out')


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ([trained('1', axis='split')], 'vary over split'),
        ([trained('1', axis=None)], 'vary over nothing'),
        ([trained('1')], 'out has 0 finished teachers for folds 2'),
        ([trained('1'), trained('2', status='failed')], '0 finished'),
        ([trained('1'), trained('2'), trained('2', 1)], '2 finished'),
    ],
)
def test_teachers_that_do_not_fit_the_folds_are_refused(entries, message):
    axes = [Axis('folds', {i: {'seed': i} for i in ('1', '2')})]
    with pytest.raises(UserError, match=message):
        add_teachers(axes, entries, 'out')
