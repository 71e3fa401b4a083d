"""Results read from several folders."""

import json
import shutil
from pathlib import Path

import pytest

from dvfl_mmaction.analysis.ablation.comparing import compare
from dvfl_mmaction.analysis.ablation.pooling import pool
from dvfl_mmaction.analysis.ablation.reading import read_results
from dvfl_mmaction.analysis.ablation.results import group_runs, write_results
from dvfl_mmaction.analysis.ablation.scores import cached_scores
from dvfl_mmaction.errors import UserError

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
