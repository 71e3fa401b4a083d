"""Pools of made-up runs, and of planned ones."""

import json

import pytest

from dvfl_mmaction.analysis.ablation.axes import axes_of
from dvfl_mmaction.analysis.ablation.comparing import compare, describe
from dvfl_mmaction.analysis.ablation.plan import plan_runs
from dvfl_mmaction.analysis.ablation.pooling import pool, pooled_entry
from dvfl_mmaction.analysis.ablation.results import (
    collect,
    group_runs,
    table,
    write_results,
)
from dvfl_mmaction.analysis.ablation.settings import make_settings
from dvfl_mmaction.errors import UserError

GOOD, HALF, BAD = [0, 1, 2, 3], [0, 1, 3, 2], [3, 2, 1, 0]


@pytest.fixture
def add_fold(add_run):
    """Write a finished run of the setting ``kd`` on one fold."""

    def add(fold, seed, experiment, predicted=GOOD, **values):
        labels = [('folds', fold)]
        digest = f'{experiment}_{fold}'
        name = f'{digest}_{values.get("status")}'
        about = dict(config='kd', digest=digest) | values
        return add_run(name, seed, predicted, labels, **about)

    return add


@pytest.fixture
def pooled_rows(tmp_path):
    """Names and seeds of the settings after ``--pool folds``."""

    def rows():
        entries = pool(write_results(tmp_path / 'out'), 'folds')
        return {
            group.name: [run['seed'] for run in group.runs]
            for group in group_runs(entries)
        }

    return rows


def test_seeds_of_one_experiment_are_one_row(add_fold, pooled_rows):
    for seed in (0, 1):
        for fold in ('1', '2'):
            add_fold(fold, seed, 'labels_3')
    assert pooled_rows() == {'kd': [0, 1]}


def test_experiments_of_one_name_are_rows_of_their_own(add_fold, pooled_rows):
    """Such as other lists or ``--cfg-options``, which are no labels."""
    for seed, experiment in ((0, 'labels_3'), (1, 'labels_1')):
        for fold in ('1', '2'):
            add_fold(fold, seed, experiment)
    rows = pooled_rows()
    assert sorted(rows.values()) == [[0], [1]]
    assert all(name.startswith('kd (') for name in rows)


def planned(config, out, folds, common=None):
    """The student's runs of a planned ablation over a file of folds."""
    settings = make_settings(config, axes_of(vary=[str(folds)]), common)
    runs, _ = plan_runs(settings, [0], out)
    return [run for run in runs if run.kind != 'teacher']


@pytest.fixture
def folds(tmp_path):
    """Write a file of two folds with lists of one folder."""

    def write(name):
        key = 'train_dataloader.dataset.ann_file'
        choices = {i: {key: f'{name}/train_{i}.txt'} for i in '12'}
        path = tmp_path / name / 'folds.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(choices))
        return path

    return write


def test_experiments_with_one_seed_are_told_apart(
    config, folds, add_fold, pooled_rows, tmp_path
):
    for name, common in (
        ('labels_1', {}),
        ('labels_3', {}),
        ('labels_3', {'model.alpha': 0.7}),
    ):
        runs = planned(config, tmp_path / 'plan', folds(name), common)
        for run in runs:
            add_fold(
                run.labels['folds'],
                0,
                run.digest,
                digest=run.digest,
                options=run.options,
                axes=run.axes,
            )
    rows = pooled_rows()
    assert len(rows) == 3 and set(map(tuple, rows.values())) == {(0,)}


def test_folds_share_all_but_what_the_axis_sets(config, folds, tmp_path):
    path = folds('labels_1')
    first, second = planned(config, tmp_path / 'out', path)
    other, _ = planned(config, tmp_path / 'out', path, {'epochs': 7})
    assert first.digest != second.digest
    assert first.axes == second.axes
    assert first.axes['folds']['values'] == ['1', '2']
    assert first.axes['folds']['rest'] != other.axes['folds']['rest']


def test_what_is_left_out_is_reported(add_fold, add_run, pooled_rows, capsys):
    """But for a teacher, whose test belongs to no fold."""
    add_run('t', None, GOOD, kind='teacher')
    for fold in ('1', '2', '3'):
        add_fold(fold, 0, 'kd')
    add_fold('1', 1, 'kd')
    add_fold('2', 1, 'kd', status='failed', error='no')
    add_fold('3', 2, 'kd', status='failed', error='no')
    assert pooled_rows() == {'t': [None], 'kd': [0]}
    assert capsys.readouterr().out.splitlines() == [
        '--pool folds leaves out kd, seed 1: no finished run of folds 2, 3',
        '--pool folds leaves out kd, seed 2: no finished run of folds 1, 2, 3',
    ]


def test_a_part_of_the_folds_is_not_shown_as_the_whole(
    add_fold, add_run, pooled_rows, capsys
):
    """Also where no setting has them all, and the rest is not trained."""
    about = dict(keys=[], values=['1', '2', '3'], source='', rest='')
    for fold in ('1', '2'):
        add_fold(fold, 0, 'kd', axes=dict(folds=about))
    add_run('other', 0, GOOD)
    with pytest.raises(UserError, match='no setting has finished runs of all'):
        pooled_rows()
    assert capsys.readouterr().out.splitlines() == [
        '--pool folds leaves out kd, seed 0: no finished run of folds 3',
        '--pool folds: other has no folds; its row is not pooled',
    ]


def test_the_table_of_pools_has_the_clips(add_fold, add_run, tmp_path):
    add_fold('1', 0, 'kd'), add_fold('2', 0, 'kd'), add_run('other', 0, BAD)
    entries = write_results(tmp_path / 'out')
    assert '| clips |' not in table(group_runs(entries))
    lines = table(group_runs(pool(entries, 'folds'))).splitlines()
    rows = [[c.strip() for c in line.split('|')[2:5]] for line in lines]
    assert rows[0] == ['setting', 'seeds', 'clips']
    assert rows[2:] == [['kd', '1', '8'], ['other', '1', '4']]


def test_pooled_folds_are_one_test_list(add_run, tmp_path):
    for fold, predicted in ((1, GOOD), (2, BAD)):
        for seed in (0, 1)[: 3 - fold]:
            name, memory = f'kd_{fold}{seed}', 100 * fold
            labels = [('fold', fold)]
            add_run(name, seed, predicted, labels, memory_mb=memory)
    add_run('whole', 0, GOOD)
    entries = write_results(tmp_path / 'out')
    for entry in entries:
        entry['config'] = entry['config'].partition('_')[0]
    pooled = {g.name: g for g in group_runs(pool(entries, 'fold'))}
    assert pooled.keys() == {'kd', 'whole'}
    (run,) = pooled['kd'].runs  # seed 1 lacks fold 2
    assert (run['seed'], run['clips'], run['top1']) == (0, 8, 0.5)
    assert run['minutes'] == 3 and run['labels'] == {}
    assert run['memory_mb'] == 200  # the peak of all
    assert run['right'] == '11110000'  # one list after the other
    assert len(pooled['kd'].scores[0].clips) == 8
    with pytest.raises(UserError, match='--pool speed.*; the axes are fold$'):
        pool(entries, 'speed')


def test_groups_of_pooled_clips_are_not_the_folds(add_run, tmp_path):
    names = ['a_1', 'b_1', 'b_2', 'c_3']
    for fold in (1, 2):
        for name, predicted in (('kd', HALF), ('alone', GOOD)):
            folder = f'{name}_{fold}'
            add_run(folder, 0, predicted, [('fold', fold)], clips=names)
    entries = write_results(tmp_path / 'out')
    for entry in entries:
        entry['config'] = entry['config'].partition('_')[0]
    groups = group_runs(pool(entries, 'fold'))
    assert 'clips in 3 groups' in describe(*groups, '[0-9]+')
    assert 'clips in 3 groups' in describe(*groups, '^[a-z]')


def test_the_teachers_of_pooled_folds_are_joined(add_run, tmp_path):
    first = add_run('t1', None, GOOD, kind='teacher', config='teacher')
    second = add_run('t2', None, HALF, kind='teacher', config='teacher')
    other = add_run('t3', None, BAD, kind='teacher', config='teacher')
    for fold, folder in ((1, first), (2, second)):
        add_run(f'kd_{fold}', 0, HALF, [('fold', fold)], teacher=folder)
    entries = collect(tmp_path / 'out')
    for entry in entries:
        entry['config'] = entry['config'].partition('_')[0]
        entry['name'] = entry['name'].replace('t1', 't')
    groups = {g.name: g for g in group_runs(pool(entries, 'fold'))}
    assert groups.keys() == {'t', 't3', 'kd'}
    (joined,) = groups['t'].runs
    assert (joined['clips'], joined['top1']) == (8, 0.75)
    assert groups['t3'].runs[0]['folder'] == other
    assert compare(groups['t'], groups['kd']).difference == 25
    assert groups['kd'].runs[0]['agreement'] == 0.75


def test_a_teacher_of_all_folds_keeps_its_own_test(add_run, tmp_path):
    teacher = add_run('t', None, GOOD, kind='teacher')
    for fold in (1, 2):
        add_run(f'kd_{fold}', 0, HALF, [('fold', fold)], teacher=teacher)
    entries = collect(tmp_path / 'out')
    for entry in entries:
        entry['config'] = entry['config'].partition('_')[0]
    groups = {g.name: g for g in group_runs(pool(entries, 'fold'))}
    (run,) = groups['t'].runs
    assert run['clips'] == 4 and run['folder'] == teacher
    assert groups['kd'].runs[0]['clips'] == 8


def test_without_scores_shares_are_weighted_by_the_clips_of_the_folds():
    first = dict(
        **dict(digest='a', labels={'fold': 1}, scores='gone', right='1'),
        **dict(clips=1, top1=1.0, top5=1.0, ece=0.1, agreement=1.0),
        **dict(minutes=1.0, memory_mb=7, test_list='x'),
    )
    other = dict(clips=3, top1=0.0, top5=0.5, agreement=0.5, minutes=2.0)
    second = first | other | dict(digest='b', memory_mb=5)
    found = pooled_entry('kd', 0, 'fold', {'1': first, '2': second})
    assert [found[key] for key in ('clips', 'top1', 'top5', 'agreement')] == [
        *(4, 0.25, 0.625, 0.625)
    ]
    assert (found['minutes'], found['memory_mb']) == (3, 7)
    # What holds for the first fold alone is left out.
    assert found['ece'] is None and not {'right', 'test_list'} & found.keys()
    for key in ('agreement', 'minutes', 'memory_mb'):
        part = {k: v for k, v in second.items() if k != key}
        found = pooled_entry('kd', 0, 'fold', {'1': first, '2': part})
        assert found[key] is None


def test_runs_that_pool_into_one_are_refused(add_run, tmp_path):
    add_run('kd_a', 0, GOOD, [('fold', 1)], config='kd')
    epochs = {'epochs': 3}
    add_run('kd_b', 0, BAD, [('fold', 1)], config='kd', options=epochs)
    with pytest.raises(
        UserError, match='two runs of kd, seed 0, have the .* differ in epochs'
    ):
        pool(write_results(tmp_path / 'out'), 'fold')
