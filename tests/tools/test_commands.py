"""Commands that a user types, with a data set of the user's own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from small_recipe import NUM_CLASSES, write_dataset, write_teacher
from warm_process import run_script

from dvfl_mmaction.run_tool import find_script

CONFIGS = Path(__file__).parents[2] / 'configs'
SMALL = dict(embed_dim=8, depths=(1, 1, 1, 1))

OWN_DATA = f"""
model = dict(
    backbone=dict(arch={SMALL}),
    cls_head=dict(num_classes={NUM_CLASSES}, in_channels=64),
)
clip_size = 32
epochs = 1
clips = dict(
    data_root='clips', ann_file='list.txt', data_prefix=dict(video='')
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=clips,
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=clips,
)
test_dataloader = val_dataloader
default_hooks = dict(logger=dict(interval=1))
"""


def mim(*words, cwd) -> str:
    """Run a command of mim, and return its output.

    mim starts the ``python`` that it finds on the path, so the path begins
    with that of the environment that runs the tests.
    """
    scripts = Path(sys.executable).parent
    path = os.pathsep.join([str(scripts), os.environ['PATH']])
    done = subprocess.run(
        [scripts / 'mim', *map(str, words)],
        cwd=cwd,
        env=os.environ | {'PATH': path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def stock(tool, *words, cwd, fails=False) -> str:
    """Run a script of MMAction2 as mim does, without mim around it."""
    done = run_script(find_script(tool), *words, cwd=cwd)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output[-4000:]
    return output


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips, two configs, a teacher and a distilled run."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=2)
    plain, distilled = folder / 'plain.py', folder / 'distilled.py'
    plain.write_text(f"_base_ = '{CONFIGS}/vflnet_ucf101.py'{OWN_DATA}")
    write_teacher(folder / 'teacher.pth', config=Config.fromfile(plain).model)
    distilled.write_text(
        f"_base_ = '{CONFIGS}/vflnet_kd_ucf101.py'{OWN_DATA}"
        "model['teacher'] = dict("
        "config='plain.py', checkpoint='teacher.pth')\n"
    )
    return folder


@pytest.fixture(scope='module')
def trained(folder):
    output = mim(
        'train',
        'mmaction2',
        'distilled.py',
        '--work-dir',
        'work',
        cwd=folder,
    )
    return output, folder / 'work' / 'epoch_1.pth'


def test_mim_trains_a_student_with_its_teacher(folder, trained):
    output, checkpoint = trained
    assert checkpoint.is_file()
    assert 'teacher: top-1' in output
    assert re.search(r'loss_kd: \d', output)
    assert 'acc/top1' in output


@pytest.mark.parametrize('views', ['1x1', '4x3'])
def test_mim_tests_the_student_without_its_teacher(folder, trained, views):
    work_dir = folder / f'test_{views}'
    words = ['--work-dir', work_dir, '--cfg-options', f'test_views={views}']
    if views == '1x1':
        stock('test.py', 'plain.py', trained[1], *words, cwd=folder)
    else:
        checkpoint = ['--checkpoint', trained[1]]
        mim('test', 'mmaction2', 'plain.py', *checkpoint, *words, cwd=folder)
    (path,) = work_dir.glob('*/results.json')
    results = json.loads(path.read_text())
    assert 0 <= results['top1'] <= results['top5'] == 1
    assert results['views']['form'] == views


def test_mim_counts_multiply_adds(folder):
    output = mim(
        'run',
        'mmaction2',
        'get_flops',
        'distilled.py',
        '--shape',
        '1',
        '3',
        '8',
        '32',
        '32',
        cwd=folder,
    )
    assert re.search(r'^Flops: [\d.]+\w', output, re.MULTILINE)
    parameters = re.search(r'^Params: ([\d.]+)(\w)', output, re.MULTILINE)
    assert parameters[2] == 'M'
    assert 0.05 < float(parameters[1]) < 0.5


def error_line(output: str) -> str:
    """The only error line, set apart by blank lines."""
    assert 'Traceback' not in output and 'UserError' not in output
    lines = [*output.splitlines(), '']
    (at,) = [i for i, line in enumerate(lines) if 'error: ' in line]
    assert lines[at - 1] == lines[at + 1] == ''
    return lines[at]


def test_a_mistake_is_reported_in_one_line(folder):
    words = ['train.py', CONFIGS / 'vflnet_kd_ucf101.py']
    words += ['--work-dir', 'nothing']
    output = stock(*words, cwd=folder, fails=True)
    line = error_line(output)
    assert 'data/ucf101' in line
    assert 'tools/prepare_dataset.py ucf101' in line
    assert not (folder / 'nothing').exists()


def test_a_hostile_checkpoint_is_reported_in_one_line(folder):
    (folder / 'hostile.pth').write_bytes(
        b"cposix\nsystem\n(S'touch executed'\ntR."
    )
    words = ['test.py', 'plain.py', 'hostile.pth', '--work-dir', 'nothing']
    output = stock(*words, cwd=folder, fails=True)
    line = error_line(output)
    assert 'hostile.pth' in line
    assert 'posix.system' in line
    assert not (folder / 'executed').exists()
