"""Files that change between two commands of an ablation."""

import json
import os
from pathlib import Path

import pytest

from dvfl_mmaction.analysis.ablation.axes import axes_of
from dvfl_mmaction.analysis.ablation.execution import execute
from dvfl_mmaction.analysis.ablation.inputs import (
    INPUTS,
    check_inputs,
    hash_of,
    named_files,
    record_inputs,
)
from dvfl_mmaction.analysis.ablation.plan import plan_runs
from dvfl_mmaction.analysis.ablation.run import run_ablation
from dvfl_mmaction.analysis.ablation.settings import make_settings
from dvfl_mmaction.errors import UserError


@pytest.fixture
def settings(config, tmp_path, monkeypatch):
    """A distillation of two values of alpha; its list and teacher exist."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clips').mkdir()
    (tmp_path / 'clips' / 'list.txt').write_text('a.mp4 0\nb.mp4 1\n')
    (tmp_path / 't.pth').write_bytes(b'weights')
    return make_settings(config, axes_of(alpha=[0.1, 0.9]))


@pytest.fixture
def runs(settings):
    """The teacher's test and the two runs, of which each has begun."""
    runs, _ = plan_runs(settings, [0], Path('out'))
    for run, result in zip(
        runs, ['scores.npz', 'last_checkpoint', 'trained.json'], strict=True
    ):
        record_inputs(run)
        Path(run.folder, result).touch()
    return runs


def read_inputs(run):
    return json.loads(Path(run.folder, INPUTS).read_text())


def test_lists_weights_and_the_teachers_config_are_recorded(runs, tmp_path):
    names = {Path(name).name for run in runs for name in read_inputs(run)}
    assert names == {'list.txt', 't.pth', 'teacher.py'}
    assert [set(map(Path, read_inputs(run))) for run in runs[1:]] == [
        {
            tmp_path / 'clips' / 'list.txt',
            tmp_path / 'teacher.py',
            Path('t.pth'),
        }
    ] * 2


@pytest.mark.parametrize('name', ['clips/list.txt', 't.pth'])
def test_a_changed_file_is_refused(runs, settings, name):
    before = Path(name).read_bytes()
    Path(name).write_bytes(before)  # another time, the same content
    check_inputs(runs)
    Path(name).write_bytes(before + b'\n')
    with pytest.raises(UserError) as refused:
        run_ablation(settings, [0], Path('out'))
    assert str(refused.value).endswith(
        f'{name} changed after the run in {runs[0].folder} and 2 more read '
        'it; give another --out, or remove the folders of these runs to do '
        'them again'
    )
    for run in runs:
        record_inputs(run)  # keeps what the results were made with
    with pytest.raises(UserError, match='changed after the run'):
        check_inputs(runs)
    Path(name).unlink()
    check_inputs(runs)


def test_another_teacher_is_refused_and_a_comment_is_not(runs, tmp_path):
    path = tmp_path / 'base.py'
    (tmp_path / 'teacher.py').rename(path)
    (tmp_path / 'teacher.py').write_text("_base_ = 'base.py'  # moved\n")
    check_inputs(runs)
    path.write_text(path.read_text() + '\nepochs = 3\n')
    with pytest.raises(UserError, match=r'teacher.py changed after the run'):
        check_inputs(runs)


def test_lists_and_weights_are_found_anywhere_in_a_config():
    parts = (
        dict(data_root='data', ann_file='a.txt'),
        dict(dataset=dict(ann_file='b.txt', data_root=None)),
    )
    values = dict(
        train_dataloader=dict(dataset=dict(datasets=parts)),
        load_from='c.pth',
        model=dict(
            teacher=[dict(config='t.py', checkpoint='d.pth')],
            backbone=dict(pretrained='e.pth', depths=(1, 2)),
            neck=dict(pretrained=None, ann_file=3),
        ),
    )
    assert set(named_files(values)) == {
        *('data/a.txt', 'b.txt', 'c.pth', 'd.pth', 'e.pth', 't.py')
    }


def test_a_file_of_the_same_size_is_hashed_again(tmp_path):
    path = tmp_path / 'list.txt'
    found = []
    for number, text in enumerate(('a.mp4 0', 'a.mp4 1', 'a.mp4 1')):
        path.write_text(text)
        os.utime(path, (number, number))
        found.append(hash_of(str(path)))
    assert found[0] != found[1] == found[2]


def test_a_run_without_results_takes_the_new_files(settings):
    """As the one that failed because of its list."""
    runs, _ = plan_runs(settings, [0], Path('out'))
    environment = {'PATH': '', 'PYTHONPATH': 'absent'}
    Path('clips/list.txt').write_text('no label\n')
    assert execute(runs[0], environment)['status'] == 'failed'
    first = read_inputs(runs[0])
    Path('clips/list.txt').write_text('a.mp4 1\n')
    check_inputs(runs)
    assert execute(runs[0], environment)['status'] == 'failed'
    assert read_inputs(runs[0]) != first
