"""The tool that packages a model, and prediction with its folder."""

import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import run_script

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips, and the work folder of a training."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=1)
    work = folder / 'work'
    work.mkdir()
    write_teacher(work / 'best_acc_top1_epoch_2.pth', config=recognizer())
    config = recipe(recognizer(), folder / 'clips', work)
    Config(config).dump(str(work / 'small.py'))
    done = run_script(TOOLS / 'package_model.py', 'work', 'small', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'wrote small (licence apache-2.0)'
    return folder


def run(folder, tool, *words):
    return run_script(TOOLS / tool, *words, cwd=folder)


def test_a_package_takes_the_place_of_config_and_checkpoint(folder):
    weights = 'work/best_acc_top1_epoch_2.pth'
    found = []
    # Options may stand between the positional words.
    for name, words in (
        ('a', ['work/small.py', weights, '--workers', '0', 'clips']),
        ('b', ['small', '--workers', '0', 'clips']),
    ):
        done = run(folder, 'predict.py', *words, '--json', f'{name}.json')
        assert done.returncode == 0, done.stderr
        found.append(json.loads((folder / f'{name}.json').read_text()))
    assert len(found[0]['clips']) == 4
    assert found[0]['clips'] == found[1]['clips']


@pytest.mark.parametrize(
    ('tool', 'words', 'status', 'message'),
    [
        ('predict.py', ['small'], 2, 'no VIDEO given; give CONFIG'),
        ('predict.py', ['clips', 'clips'], 1, 'clips has no package.json'),
        ('package_model.py', ['work', 'small'], 1, 'or --overwrite'),
        ('package_model.py', ['absent', 'new'], 1, 'absent is no folder'),
        (
            'package_model.py',
            ['work', 'new', '--private'],
            2,
            '--private needs --push OWNER/NAME',
        ),
        # Before the work: the work folder is not looked at.
        (
            'package_model.py',
            ['absent', 'new', '--push', 'me'],
            1,
            '--push me is no name of a repository; give owner/name',
        ),
    ],
)
def test_mistakes_are_one_line(folder, tool, words, status, message):
    done = run(folder, tool, *words)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_changed_package_predicts_nothing(folder):
    shutil.copytree(folder / 'small', folder / 'changed')
    path = folder / 'changed' / 'classes.json'
    path.write_text('["a", "b", "c", "d"]')
    done = run(folder, 'predict.py', 'changed', 'clips')
    assert done.returncode == 1
    assert 'error: changed/classes.json has 20 bytes, not the' in done.stderr
