"""The tool that prepares, checks and packs data sets, run by a user."""

import csv
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_clips import write_broken, write_video
from miniature_datasets import MAKERS, make_ucf101, write_stand_in
from warm_process import run_script

from dvfl_mmaction.datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)
from dvfl_mmaction.preparation import CATALOGUE
from dvfl_mmaction.preparation.prepare import SPLITS

TOOLS = Path(__file__).parents[2] / 'tools'
HELP = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit as end:
    print(f'status {end.code or 0}')
heavy = {'torch', 'mmaction', 'mmengine', 'cv2', 'numpy', 'dvfl_mmaction'}
print('imported', sorted(heavy & sys.modules.keys()))
"""


def run_tool(*words, cwd=None):
    return run_script(
        TOOLS / 'prepare_dataset.py', *words, cwd=cwd, env={'COLUMNS': '80'}
    )


@pytest.mark.parametrize(
    ('tool', 'words', 'status'),
    [
        ('prepare_dataset.py', ['--help'], 0),
        ('prepare_dataset.py', ['unknown', '--root', '.'], 2),
        ('make_demo_dataset.py', ['--help'], 0),
    ],
)
def test_help_and_mistakes_import_neither_torch_nor_the_package(
    tool, words, status
):
    done = subprocess.run(
        [sys.executable, '-c', HELP, str(TOOLS / tool), *words],
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith(f'status {status}\nimported []\n')


def test_the_tool_offers_every_data_set_and_split():
    done = run_tool('unknown', '--root', '.')
    assert done.returncode == 2
    for name in (*CATALOGUE, 'custom'):
        assert name in done.stderr.rpartition('choose from')[2]
    names = run_tool('--help').stdout
    choices = '{' + ','.join([*CATALOGUE, 'custom']) + '}'
    assert choices in names
    assert '--split {' + ','.join(SPLITS) + '}' in names


def test_help_has_an_example_for_each_data_set():
    text = run_tool('--help').stdout
    for name in CATALOGUE:
        assert f'tools/prepare_dataset.py {name} --root' in text


@pytest.mark.parametrize(
    ('name', 'split'),
    [
        ('ucf50', 'paper'),
        ('ucf101', 'official'),
        ('hmdb51', 'official'),
        ('ssv2', 'official'),
        ('k400', 'paper'),
    ],
)
def test_the_tool_prepares_each_data_set(tmp_path, name, split):
    root = tmp_path / 'data set'
    MAKERS[name](root, write_stand_in)
    done = run_tool(name, '--root', root, '--split', split)
    assert done.returncode == 0, done.stderr
    first = '1' if name in ('ucf50', 'ucf101', 'hmdb51') else 'official'
    number = 'paper' if split == 'paper' else first
    path = root / f'{name}_train_split_{number}_videos.txt'
    assert read_annotations(path).header['dataset'] == name
    assert f'{path}: ' in done.stdout


def error_line(done) -> str:
    """The only line on standard error; a mistake has no traceback."""
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: ')
    return line


def test_a_mistake_is_reported_in_one_line(tmp_path):
    for folder in (tmp_path / 'absent', tmp_path):
        done = run_tool('ucf101', '--root', folder)
        assert 'not found; ' in error_line(done)
    (tmp_path / 'file').touch()
    done = run_tool('ucf101', '--root', tmp_path / 'file', '--download')
    assert 'File exists' in error_line(done)
    make_ucf101(tmp_path, write_stand_in, archives=False)
    with (tmp_path / 'ucfTrainTestlist/trainlist01.txt').open('a') as file:
        file.write('Archery/v_Archery_g09_c01.avi 2\n')
    done = run_tool('ucf101', '--root', tmp_path, '--strict')
    assert 'nothing was written' in error_line(done)


def test_missing_clips_of_ones_own_are_reported_in_one_line(tmp_path):
    done = run_tool('custom', '--root', 'absent', '--check', cwd=tmp_path)
    assert 'absent' in error_line(done)


def test_options_that_make_no_sense_are_rejected():
    done = run_tool('custom', '--root', '.')
    assert done.returncode == 2
    assert 'custom needs --check, --pack or --folds' in done.stderr
    for count in ('0', '-1'):
        done = run_tool('custom', '--root', '.', '--check', '--workers', count)
        assert done.returncode == 2
        assert f'--workers {count}; give 1 or more' in done.stderr


@pytest.mark.parametrize(
    ('words', 'error'),
    [
        (('custom', '--check', '--download'), '--download is for the data'),
        (('custom', '--pack', 'x', '--strict'), '--strict is for the data'),
        (('custom', '--folds', '2', '--split', 'paper'), '--split is for the'),
        (('custom', '--folds', '2', '--workers', '2'), 'needs --check or'),
        (('ucf101', '--workers', '2'), '--workers needs --check or --pack'),
        (('ucf101', '--timeout', '9'), '--timeout needs --check or --pack'),
    ],
)
def test_options_that_would_do_nothing_are_rejected(
    words, error, monkeypatch, capsys
):
    tool = runpy.run_path(TOOLS / 'prepare_dataset.py')
    monkeypatch.setattr(sys, 'argv', ['tool', *words, '--root', '.'])
    with pytest.raises(SystemExit, match='2'):
        tool['parse_args']()
    assert error in capsys.readouterr().err


def test_clips_of_ones_own_are_checked_and_packed(tmp_path):
    videos = tmp_path / 'mine' / 'videos'
    videos.mkdir(parents=True)
    broken = write_broken(videos)
    for number in range(3):
        write_video(videos / f'clip {number}.mp4', 16)
    clips = [(path.name, 0) for path in sorted(videos.iterdir())]
    write_annotations(tmp_path / 'mine/all.txt', Annotations(clips))
    words = ('--root', 'mine', '--check', '--pack', 'packed')
    done = run_tool('custom', *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in broken:
        assert f'{name}: ' in done.stdout
    with open(tmp_path / 'mine/check.csv', newline='') as file:
        status = {row['name']: row['status'] for row in csv.DictReader(file)}
    assert {n for n, s in status.items() if s == 'broken'} == set(broken)
    kept = [f'clip {number}' for number in range(3)]
    checked = read_annotations(tmp_path / 'mine/all_checked.txt').clips
    assert [name for name, _ in checked] == [f'{k}.mp4' for k in kept]
    packed = read_annotations(tmp_path / 'packed/all.txt').clips
    assert [name for name, _ in packed] == [f'{k}.avi' for k in kept]
    for name, _ in packed:
        assert (tmp_path / 'packed/videos' / name).is_file()


def test_names_that_no_terminal_can_show_are_escaped(tmp_path):
    make_ucf101(tmp_path, write_stand_in, archives=False)
    name = os.fsdecode(b'caf\xe9.avi')  # not in UTF-8
    (tmp_path / 'UCF-101' / 'Archery' / name).touch()
    done = run_tool('ucf101', '--root', tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'not listed: 1 (Archery/caf\\udce9.avi)' in done.stdout
