"""The tool that exports a checkpoint, run by a user."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import run_script

from dvfl_mmaction.deployment.exported_model import load_exported

TOOL = Path(__file__).parents[2] / 'tools' / 'export.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips, a config and a checkpoint."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=1)
    write_teacher(folder / 'model.pth', config=recognizer())
    shutil.copy(folder / 'model.pth', folder / 'model.bin')
    config = recipe(recognizer(), folder / 'clips', folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    return folder


def test_the_tool_writes_a_file_and_compares_it(folder):
    words = ['config.py', 'model.pth', 'model.pt2', '--to', 'torch-export']
    words += ['--licence', 'mit']
    done = run_script(TOOL, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    compared, wrote = done.stdout.splitlines()
    assert compared.startswith('compared with the checkpoint: largest')
    assert compared.endswith('the same class in 8 of 8 clips')
    assert wrote.startswith('wrote model.pt2 (')
    model = load_exported(folder / 'model.pt2')
    assert model.clip_len == 4
    assert model.metadata['licence'] == 'mit'


@pytest.mark.parametrize(
    'words, message',
    [
        (['no.pth', 'a.onnx', '--to', 'onnx'], 'no.pth was not found'),
        (['model.pth', 'a.xml', '--to', 'onnx'], 'rename it'),
        (
            ['model.bin', 'model.xml', '--to', 'openvino'],
            'model.bin is an input and would be overwritten',
        ),
    ],
)
def test_mistakes_are_reported_in_one_line(folder, words, message):
    done = run_script(TOOL, 'config.py', *words, cwd=folder)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert line.startswith('error: ')
    assert message in line


@pytest.mark.parametrize(
    'words, message',
    [
        (['--test-list', 'a.txt'], '--test-list needs --precision int8'),
        (['--force'], '--force needs --precision int8'),
        (
            ['--precision', 'int8', '--root', 'clips'],
            '--root needs --test-list FILE',
        ),
    ],
)
def test_options_that_nothing_would_read_are_refused(folder, words, message):
    words = ['config.py', 'model.pth', 'a.onnx', '--to', 'onnx', *words]
    done = run_script(TOOL, *words, cwd=folder)
    assert done.returncode == 2 and message in done.stderr
