"""The commands that train the networks of docs/results_real_clips.md."""

import itertools
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from documented_commands import Command, build_config, find_problem
from mmengine.config import Config

from dvfl_mmaction.analysis.ablation.comparing import find_group
from dvfl_mmaction.analysis.ablation.pooling import pool
from dvfl_mmaction.analysis.ablation.reading import read_results
from dvfl_mmaction.analysis.ablation.results import group_runs

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'docs' / 'real_clips'
# The results of each folder of runs.
PUBLISHED = {
    'teachers': ('all_labels',),
    'teachers_30': ('one_label_weak_teacher',),
    'teachers_45': ('one_label_middle_teacher',),
    'one_label': tuple(
        f'one_label_{name}'
        for name in ('losses', 'kl', 'settings', 'patient', 'streaming')
    ),
    'one_label_30': ('one_label_weak_teacher',),
    'one_label_45': ('one_label_middle_teacher',),
    'three_labels': ('three_labels',),
    'all_labels': ('all_labels',),
}
# Prints the words of each command in place of running it.
PYTHON = """#!/bin/bash
printf '%q ' "$@"
printf '\\n'
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A checkout where the script has been run, with a stand-in of Python."""
    folder = tmp_path_factory.mktemp('checkout')
    script = folder / 'docs' / 'real_clips' / 'run.sh'
    script.parent.mkdir(parents=True)
    shutil.copy(CONFIGS / 'run.sh', script)
    (folder / 'bin').mkdir()
    (folder / 'bin' / 'python').write_text(PYTHON)
    (folder / 'bin' / 'python').chmod(0o755)
    lists = folder / 'data' / 'letters' / 'folds' / 'only_1'
    lists.mkdir(parents=True)
    for number in range(1, 6):
        (lists / f'train_{number}.txt').write_text(f'A/{number}.mp4 0\n')
    (lists / 'folds.json').write_text('{"1": "folds/only_1/train_1.txt"}')
    own = ('WORK_DIR', 'JOBS', 'PICTURES')
    env = {k: v for k, v in os.environ.items() if k not in own}
    env['PATH'] = f'{folder / "bin"}:{env["PATH"]}'
    done = subprocess.run(
        ['bash', str(script)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / 'commands').write_text(done.stdout)
    return folder


@pytest.fixture(scope='module')
def commands(folder):
    lines = (folder / 'commands').read_text().splitlines()
    return [shlex.split(line) for line in lines]


def read_options(command):
    """Option -> its values, of a command; a list of lists for --compare."""
    options = {}
    for word in command:
        if word.startswith('--'):
            values = []
            options.setdefault(word[2:], []).append(values)
        elif options:
            values.append(word)
    return {
        name: found if name == 'compare' else found[0]
        for name, found in options.items()
    }


def trained_by(command):
    """Runs: folder, config, lists, loss, alpha, temperature, epochs, seed."""
    options = read_options(command)
    names = ('loss', 'alpha', 'temperature', 'epochs', 'seeds')
    defaults = dict(seeds=['0'])
    values = [options.get(name, defaults.get(name, [None])) for name in names]
    out = Path(options['out'][0]).name
    for loss, *numbers in itertools.product(*values):
        numbers = (n and float(n) for n in numbers)
        yield out, Path(command[1]).stem, *options['vary'], loss, *numbers


def published_runs():
    """The same of the results; teachers without the tests for students."""
    for out, names in PUBLISHED.items():
        kinds = 'teacher' if out.startswith('teachers') else 'alone kd'
        files = [ROOT / 'docs' / 'results' / f'{name}.json' for name in names]
        for run in read_results(files):
            if run['config'].partition('_')[0] in kinds:
                keys = ('loss', 'alpha', 'temperature', 'epochs')
                labels = (run['labels'].get(key) for key in keys)
                lists = run['axes']['folds']['source'].partition(' with ')[0]
                yield out, run['config'], lists, *labels, run['seed']


def test_the_commands_train_what_is_published(commands):
    trainings = [c for c in commands if c[1].startswith('docs/')]
    trained = {run for command in trainings for run in trained_by(command)}
    assert trained == set(published_runs())


def test_their_arguments_and_configs_are_valid(commands, tmp_path):
    assert commands
    for words in commands:
        command = Command(['python', *words], False)
        assert find_problem(command, [], tmp_path) is None
    for path in sorted(CONFIGS.glob('*.py')):
        if path.stem != 'make_signed_letters':
            build_config(Config.fromfile(path))


def test_what_they_compare_is_published(commands):
    for command in commands:
        options = read_options(command)
        if 'report' not in options:
            continue
        names = PUBLISHED[Path(options['report'][0]).name]
        files = [ROOT / 'docs' / 'results' / f'{name}.json' for name in names]
        groups = group_runs(pool(read_results(files), 'folds'))
        for name in itertools.chain(*options['compare']):
            if name != 'teacher':
                find_group(groups, name)


def test_labelled_clips_are_listed_four_times(folder):
    lists = folder / 'data' / 'letters' / 'folds' / 'only_1x4'
    for number in range(1, 6):
        text = (lists / f'train_{number}.txt').read_text()
        assert text == f'A/{number}.mp4 0\n' * 4
    assert 'only_1x4/train_1.txt' in (lists / 'folds.json').read_text()
