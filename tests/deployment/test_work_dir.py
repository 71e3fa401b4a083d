"""The config and the checkpoints that a training left."""

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.work_dir import find_checkpoint, find_config


@pytest.fixture
def work(tmp_path):
    for name in ('epoch_9.pth', 'epoch_10.pth', 'best_acc_epoch_9.pth'):
        (tmp_path / name).touch()
    (tmp_path / 'small.py').touch()
    return tmp_path


def test_the_last_checkpoint_is_that_of_the_pointer_or_of_the_number(work):
    assert find_checkpoint(work).name == 'best_acc_epoch_9.pth'
    assert find_checkpoint(work, 'last').name == 'epoch_10.pth'
    pointer = work / 'last_checkpoint'
    pointer.write_text('/of/another machine/epoch_9.pth\n')
    assert find_checkpoint(work, 'last') == work / 'epoch_9.pth'
    pointer.write_text('/removed/epoch_11.pth')
    assert find_checkpoint(work, 'last') == work / 'epoch_10.pth'
    file = str(work / 'epoch_9.pth')
    assert find_checkpoint(work, file) == work / 'epoch_9.pth'


def test_what_is_missing_or_several_is_named(work):
    assert find_config(work) == work / 'small.py'
    (work / 'other.py').touch()
    (work / 'best_top5_epoch_8.pth').touch()
    for find, message in (
        (find_config, 'has 2 of config: other.py, small.py; give the one'),
        (find_checkpoint, r'has 2 of best_\*.pth: best_acc_epoch_9.pth, best'),
    ):
        with pytest.raises(UserError, match=message):
            find(work)
    (work / 'none').mkdir()
    for find, message in (
        (find_config, 'has no config; give'),
        (find_checkpoint, r'has no best_\*.pth; give'),
        (lambda folder: find_checkpoint(folder, 'last'), 'no checkpoint of'),
        (lambda folder: find_config(folder / 'a'), 'is no folder; give the w'),
        (lambda folder: find_checkpoint(folder, 'a.pth'), 'a.pth was not fou'),
    ):
        with pytest.raises(UserError, match=message):
            find(work / 'none')
