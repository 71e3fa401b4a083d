"""Results read from several folders."""

import json
import shutil
from pathlib import Path

import pytest

from dvfl_mmaction.analysis.ablation.comparing import compare, find_group
from dvfl_mmaction.analysis.ablation.pooling import pool
from dvfl_mmaction.analysis.ablation.reading import read_results
from dvfl_mmaction.analysis.ablation.results import (
    group_runs,
    table,
    write_results,
)
from dvfl_mmaction.analysis.ablation.scores import cached_scores
from dvfl_mmaction.errors import UserError

RESULTS = Path(__file__).parents[3] / 'docs' / 'results'
GOOD, HALF, BAD = [0, 1, 2, 3], [0, 1, 3, 2], [3, 2, 1, 0]


@pytest.fixture
def write_copy(tmp_path):
    """Write results to a folder, with other values."""

    def write(entries, to, **values):
        path = tmp_path / to / 'results.json'
        path.parent.mkdir()
        runs = [entry | values for entry in entries]
        path.write_text(json.dumps(dict(runs=runs)))
        return path.parent

    return write


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UserError, match='no results of an ablation'):
        read_results([tmp_path])
    for content in ('[1, 2]', '{"runs": [{}]}', '{"runs": null}'):
        (tmp_path / 'results.json').write_text(content)
        with pytest.raises(UserError, match='no results of an ablation'):
            read_results([tmp_path])


def test_a_run_in_two_folders_is_one_run(
    add_run, write_copy, tmp_path, capsys
):
    add_run('big', None, GOOD, kind='teacher')
    add_run('kd', 0, HALF)
    entries = write_results(tmp_path / 'out')
    folders = [tmp_path / 'out', write_copy(entries, 'copy')]
    assert read_results(folders) == entries
    assert capsys.readouterr().out == ''
    assert [len(g.runs) for g in group_runs(read_results(folders))] == [1, 1]


def test_copies_that_differ_are_reported(
    add_run, write_copy, tmp_path, capsys
):
    add_run('kd', 0, HALF)
    entries = write_results(tmp_path / 'out')
    copy = write_copy(entries, 'copy', top1=0.75)
    (kept,) = read_results([tmp_path / 'out', copy])
    assert kept['top1'] == 0.5
    assert capsys.readouterr().out == (
        'kd, seed 0, is there twice, with 50.0 and 75.0 % top-1; the first '
        'one counts\n'
    )


def test_a_moved_folder_still_reports(add_run, tmp_path, monkeypatch):
    teacher = add_run('big', None, GOOD, kind='teacher')
    folder = add_run('kd', 0, HALF, teacher=teacher, checkpoint='kd/last.pth')
    Path(folder, 'last.pth').touch()
    write_results(tmp_path / 'out')
    moved = tmp_path / 'elsewhere' / 'moved'
    moved.parent.mkdir()
    (tmp_path / 'out').rename(moved)
    cached_scores.cache_clear()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    best, second = group_runs(read_results([Path('moved')]))
    assert compare(best, second).difference == 50
    run = second.runs[0]
    assert run['teacher'] == best.runs[0]['folder'] == 'moved/teachers/big'
    assert Path(run['checkpoint']).is_file() and Path(run['folder']).is_dir()
    assert write_results(moved)[1]['agreement'] == 0.5


def test_results_without_scores_are_compared_by_their_outcomes(
    add_run, write_copy, tmp_path
):
    names = ['d', 'a', 'c', 'b']
    add_run('kd', 0, GOOD, clips=names), add_run('alone', 0, HALF, clips=names)
    add_run('other', 0, BAD, clips=['w', 'x', 'y', 'z'])
    entries = write_results(tmp_path / 'out')
    shutil.rmtree(tmp_path / 'out')
    published = write_copy(entries, 'published')
    groups = group_runs(read_results([published]))
    assert compare(groups[0], groups[1]).difference == 50
    with pytest.raises(UserError, match='different clips'):
        compare(groups[0], groups[2])
    for entry in entries:  # what older results lack
        del entry['test_list']
        entry['options'] = {'test_dataloader.dataset.ann_file': 'test.txt'}
    groups = group_runs(entries)
    assert compare(groups[0], groups[1]).difference == 50
    entries[0]['options'] = {}
    with pytest.raises(UserError, match='different clips'):
        compare(*group_runs(entries)[:2])
    del entries[0]['right']
    cached_scores.cache_clear()
    with pytest.raises(UserError, match='were not found; give --report'):
        compare(*group_runs(entries)[:2])
    entries[0]['right'] = '1'
    with pytest.raises(UserError, match='have 1 outcomes'):
        compare(*group_runs(entries)[:2])


def test_scores_of_one_side_are_compared_with_outcomes_of_the_other(
    add_run, tmp_path
):
    names = ['d', 'a', 'c', 'b']
    add_run('kd', 0, GOOD, clips=names)
    folder = add_run('alone', 0, HALF, clips=names)
    entries = write_results(tmp_path / 'out')
    Path(folder, 'scores.npz').unlink()
    cached_scores.cache_clear()
    groups = {group.name: group for group in group_runs(entries)}
    assert compare(groups['kd'], groups['alone']).difference == 50
    assert compare(groups['alone'], groups['kd']).difference == -50


def test_results_without_a_hash_have_the_list_of_their_options_or_config(
    add_run, tmp_path
):
    for name, seed in (('kd', 0), ('alone', 0)):
        add_run(name, seed, GOOD)
    entries = write_results(tmp_path / 'out')
    shutil.rmtree(tmp_path / 'out')
    own = {'test_dataloader.dataset.ann_file': 'test.txt'}
    other = {'val_dataloader.dataset.ann_file': 'val.txt', 'epochs': 3}
    for entry in entries:
        del entry['test_list']
        entry['options'] = {}
    with pytest.raises(UserError, match='different clips'):
        compare(*group_runs(entries))  # those of two configs
    for entry, options in zip(entries, (own, own | other), strict=True):
        entry['options'] = options
    assert compare(*group_runs(entries)).difference == 0
    for entry, options in zip(entries, ({}, other), strict=True):
        entry |= dict(options=options, config='kd')
    assert compare(*group_runs(entries)).difference == 0


@pytest.mark.parametrize(
    ('seeds', 'shares', 'interval', 'changed'),
    [
        (
            [0, 1, 2],
            [
                ['76.5 ± 1.7', '98.1 ± 1.2', '-', '78.5 ± 3.3'],
                ['70.6 ± 1.1', '99.4 ± 0.6', '-', '75.6 ± 1.0'],
            ],
            [5.9, 2.0, 9.9],
            [19.7, 9.0],
        ),
        (
            [1],
            [['78.3', '99.4', '-', '81.7'], ['71.7', '100.0', '-', '75.0']],
            [6.7, 0.7, 13.0],
            [21, 9],
        ),
    ],
)
def test_the_published_results_give_the_published_comparison(
    seeds, shares, interval, changed
):
    """The numbers of docs/results_real_clips.md."""
    entries = read_results([RESULTS / 'one_label_losses.json'])
    entries = [entry for entry in entries if entry['seed'] in seeds]
    groups = group_runs(pool(entries, 'folds'))
    names = ('DISTLoss', 'KLDivergenceLoss')
    dist, kl = (find_group(groups, name) for name in names)
    rows = [row.split('|') for row in table([dist, kl]).splitlines()[2:]]
    found = [[c.strip() for c in row[4:9]] for row in rows]
    assert found == [['180', *row] for row in shares]
    result = compare(dist, kl)
    numbers = (result.difference, result.low, result.high)
    assert [round(number, 1) for number in numbers] == interval
    assert [round(n, 1) for n in (result.gained, result.lost)] == changed


def published(*names, seeds=(1,)):
    """Pooled results in docs/results; of teachers those of seed 0."""
    entries = read_results([RESULTS / f'{name}.json' for name in names])
    chosen = [
        e
        for e in entries
        if e['seed'] in ((0,) if e['config'] == 'teacher' else seeds)
    ]
    return group_runs(pool(chosen, 'folds'))


def rounded(candidate, baseline):
    """Difference and interval of a comparison, and the clips that differ."""
    result = compare(candidate, baseline)
    values = (result.difference, result.low, result.high)
    changed = (round(result.gained), round(result.lost))
    return [round(value, 1) for value in values], changed


def test_the_published_results_give_the_comparison_of_two_kl_settings():
    """The numbers of docs/results_real_clips.md."""
    names = 'one_label_losses.json', 'one_label_kl.json'
    groups = group_runs(
        pool(read_results([RESULTS / n for n in names]), 'folds')
    )
    dist, paper, mild, alone = (
        find_group(groups, name)
        for name in ('DISTLoss', 'temperature=10', 'temperature=4', 'alone')
    )
    rows = [r.split('|') for r in table([mild, alone]).splitlines()[2:]]
    assert [[c.strip() for c in row[3:9]] for row in rows] == [
        ['3', '180', '80.2 ± 1.8', '99.6 ± 0.3', '-', '84.8 ± 0.3'],
        ['3', '180', '50.7 ± 1.6', '81.1 ± 1.7', '-', '-'],
    ]
    for candidate, baseline, wanted in (
        (mild, paper, [9.6, 5.9, 13.4]),
        (dist, mild, [-3.7, -9.0, 1.6]),
        (mild, alone, [29.4, 23.1, 35.8]),
        (dist, alone, [25.7, 18.8, 32.7]),
        (paper, alone, [19.8, 13.3, 26.3]),
    ):
        result = compare(candidate, baseline)
        numbers = (result.difference, result.low, result.high)
        assert [round(number, 1) for number in numbers] == wanted


def test_the_published_results_give_the_comparison_of_streaming():
    """The numbers of docs/results_real_clips.md."""
    names = 'losses', 'kl', 'streaming'
    groups = published(
        *(f'one_label_{name}' for name in names), seeds=(0, 1, 2)
    )
    streaming, clip, alone = (
        find_group(groups, name)
        for name in ('kd_causal', 'kd alpha=0.7', 'alone')
    )
    (row,) = table([streaming]).splitlines()[2:]
    assert [c.strip() for c in row.split('|')[3:9]] == [
        *('3', '180', '78.1 ± 2.9', '99.6 ± 0.3', '-', '82.8 ± 2.9')
    ]
    assert rounded(streaming, clip) == ([-2.0, -8.8, 4.8], (6, 9))
    assert rounded(streaming, alone) == ([27.4, 19.2, 35.6], (55, 5))


def test_the_published_results_give_the_comparison_of_three_labels():
    """The numbers of docs/results_real_clips.md."""
    groups = published('three_labels')
    dist, paper, mild, alone = (
        find_group(groups, name)
        for name in ('DISTLoss', 'temperature=10', 'temperature=4', 'alone')
    )
    assert rounded(dist, alone) == ([10.0, 2.2, 17.9], (35, 17))
    both = group_runs(
        pool(read_results([RESULTS / 'three_labels.json']), 'folds')
    )
    pair = [find_group(both, name) for name in ('temperature=4', 'alone')]
    rows = [row.split('|') for row in table(pair).splitlines()[2:]]
    assert [[c.strip() for c in row[3:9]] for row in rows] == [
        ['2', '180', '79.4 ± 3.1', '99.2 ± 0.4', '-', '83.6 ± 2.7'],
        ['2', '180', '67.2 ± 2.4', '95.6 ± 0.0', '-', '-'],
    ]
    assert rounded(*pair) == ([12.2, 5.4, 19.0], (40, 18))
    assert rounded(paper, alone) == ([2.2, -5.0, 9.5], (23, 19))
    assert rounded(mild, alone) == ([12.8, 5.5, 20.2], (35, 12))
    assert rounded(dist, paper) == ([7.8, 1.3, 14.5], (25, 11))
    assert rounded(mild, paper) == ([10.6, 4.8, 16.9], (25, 6))
    assert rounded(dist, mild) == ([-2.8, -8.4, 2.6], (9, 14))


def test_the_published_results_tell_alpha_from_the_temperature():
    """The numbers of docs/results_real_clips.md."""
    groups = published(
        'one_label_losses', 'one_label_kl', 'one_label_settings'
    )
    rest = 'epochs=40 loss=KLDivergenceLoss temperature'
    few = {
        (alpha, t): find_group(groups, f'kd alpha={alpha} {rest}={t}')
        for alpha in (0.3, 0.7)
        for t in (4, 10)
    }
    for alpha, t, wanted in (
        (0.3, 4, ['180', '70.6', '100.0', '-', '75.6']),
        (0.7, 10, ['180', '79.4', '100.0', '-', '85.0']),
    ):
        (row,) = table([few[alpha, t]]).splitlines()[2:]
        assert [c.strip() for c in row.split('|')[4:9]] == wanted
    assert rounded(few[0.7, 4], few[0.3, 4]) == ([8.9, 3.9, 14.7], (20, 4))
    assert rounded(few[0.7, 10], few[0.3, 10]) == ([7.8, 2.4, 13.7], (20, 6))
    assert rounded(few[0.3, 4], few[0.3, 10]) == ([-1.1, -6.4, 4.0], (9, 11))
    assert rounded(few[0.7, 4], few[0.7, 10]) == ([0.0, -3.7, 3.7], (4, 4))


def test_the_published_results_give_the_comparison_of_teachers():
    """The numbers of docs/results_real_clips.md."""
    student, found = {}, []
    for name in ('weak', 'middle'):
        groups = published(f'one_label_{name}_teacher')
        student[name] = find_group(groups, 'kd')
        both = [student[name], find_group(groups, 'teacher')]
        rows = [row.split('|') for row in table(both).splitlines()[2:]]
        found += [[c.strip() for c in row[4:9]] for row in rows]
    assert found == [
        ['180', '61.7', '96.7', '-', '74.4'],
        ['180', '58.3', '97.2', '-', '-'],
        ['180', '71.7', '98.3', '-', '83.3'],
        ['180', '73.3', '98.3', '-', '-'],
    ]
    weak, middle = student.values()
    alone = find_group(published('one_label_losses'), 'alone')
    good = find_group(published('one_label_kl'), 'temperature=4')
    assert rounded(weak, alone) == ([12.8, 5.4, 20.4], (36, 13))
    assert rounded(middle, alone) == ([22.8, 15.7, 30.2], (47, 6))
    assert rounded(middle, weak) == ([10.0, 4.3, 16.3], (24, 6))
    assert rounded(good, middle) == ([7.8, 2.2, 13.9], (21, 7))
    assert rounded(good, weak) == ([17.8, 11.0, 25.0], (39, 7))


def test_the_published_results_give_the_comparison_with_all_labels():
    """The numbers of docs/results_real_clips.md."""
    groups = published('all_labels')
    dist, kl, alone = (
        find_group(groups, name)
        for name in ('DISTLoss', 'KLDivergenceLoss', 'alone')
    )
    (row,) = table([kl]).splitlines()[2:]
    assert [c.strip() for c in row.split('|')[4:9]] == [
        *('180', '85.6', '100.0', '-', '89.4')
    ]
    assert rounded(dist, alone) == ([-2.8, -8.0, 2.1], (7, 12))
    assert rounded(kl, alone) == ([1.1, -3.8, 6.2], (10, 8))
    assert rounded(kl, dist) == ([3.9, -0.7, 8.9], (12, 5))


def test_a_finished_run_replaces_a_failed_copy(add_run, write_copy, tmp_path):
    add_run('kd', 0, HALF)
    entries = write_results(tmp_path / 'out')
    copy = write_copy(entries, 'copy', status='failed', error='no')
    for folders in ([copy, tmp_path / 'out'], [tmp_path / 'out', copy]):
        assert [e['status'] for e in read_results(folders)] == ['done']


def test_seeds_of_one_config_share_their_labels(add_run, write_copy, tmp_path):
    add_run('kd', 0, HALF)
    entries = write_results(tmp_path / 'out')
    about = dict(seed=1, name='kd alpha=0.3', labels={'alpha': 0.3})
    copy = write_copy(entries, 'copy', **about)
    (group,) = group_runs(read_results([tmp_path / 'out', copy]))
    assert (group.name, group.labels) == ('kd alpha=0.3', {'alpha': 0.3})
    assert [run['name'] for run in group.runs] == ['kd alpha=0.3'] * 2


def test_students_of_a_dropped_teacher_keep_its_test(
    add_run, write_copy, tmp_path
):
    """The folds of two ablations were tested with the same teachers."""
    teachers = [
        add_run(f't{fold}', None, GOOD, kind='teacher', config='teacher')
        for fold in (1, 2)
    ]
    for fold, folder in enumerate(teachers, 1):
        add_run(f'kd_{fold}', 0, HALF, [('fold', fold)], teacher=folder)
    entries = write_results(tmp_path / 'out')
    for entry in entries:
        entry['config'] = entry['config'].partition('_')[0]
    first = write_copy([e for e in entries if e['seed'] is None], 'first')
    for entry in entries:
        for key in ('folder', 'teacher'):
            if entry.get(key):
                entry[key] = entry[key].replace('out', 'moved')
    second = write_copy(entries, 'second')
    groups = group_runs(pool(read_results([first, second]), 'fold'))
    assert [group.runs[0]['clips'] for group in groups] == [8, 8]
