"""The quickstart's steps, their order and resuming, with stand-ins for mim."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = f"""#!/bin/bash
case "$*" in
    '-m pip '*) ;;
    tools/*) echo "ran $*" ;;
    *) exec {sys.executable} "$@" ;;
esac
"""
MIM = """#!/bin/bash
echo "$*" >>calls
echo "$OMP_NUM_THREADS" >>threads
echo "Epoch(train) [1] acc/top1: 0.5"
while [ "$1" != --work-dir ]; do
    case "$*" in *"$FAILS"*) exit 3 ;; esac
    shift
done
mkdir -p "$2"
touch "$2/epoch_1.pth"
echo "$2/epoch_1.pth" >"$2/last_checkpoint"
"""


@pytest.fixture
def project(tmp_path):
    """A checkout whose environment is complete but runs nothing."""
    shutil.copytree(ROOT / 'tools', tmp_path / 'tools')
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    shutil.copy(ROOT / 'setup.py', tmp_path)
    scripts = tmp_path / '.venv' / 'bin'
    scripts.mkdir(parents=True)
    for name, text in dict(python=PYTHON, mim=MIM).items():
        (scripts / name).write_text(text)
        (scripts / name).chmod(0o755)
    script = 'source tools/environment.sh; hash_for .venv/bin/python'
    stamp = subprocess.check_output(['bash', '-c', script], cwd=tmp_path)
    (tmp_path / '.venv' / 'dvfl_mmaction.stamp').write_bytes(stamp)
    return tmp_path


def quickstart(project, fails='no step', **settings):
    """Run it in a folder ``here``, with a relative ``WORK_DIR``."""
    settings = dict(FAILS=fails, WORK_DIR='my runs') | settings
    (project / 'here').mkdir(exist_ok=True)
    inherited = {k: v for k, v in os.environ.items() if k != 'PYTHON'}
    return subprocess.run(
        ['bash', str(project / 'tools/quickstart.sh')],
        cwd=project / 'here',
        env=inherited | settings | dict(VENV=str(project / '.venv')),
        capture_output=True,
        text=True,
    )


def test_the_quickstart_trains_tests_and_prints_the_table(project):
    done = quickstart(project)
    assert done.returncode == 0, done.stderr
    assert 'ran tools/make_demo_dataset.py data/demo' in done.stdout
    assert done.stdout.endswith(
        f'ran tools/quickstart_table.py {project}/here/my runs\n'
    )
    assert done.stdout.count('acc/top1: 0.5') == 7
    calls = (project / 'calls').read_text().splitlines()
    assert [call.split()[0] for call in calls] == ['train'] * 3 + ['test'] * 4
    assert 'test_views=4x3' in calls[-1] and 'DISTLoss' in calls[2]
    assert (project / 'checkpoints/videofocalnet_base_demo.pth').is_file()
    again = quickstart(project)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count('skipped: ') == 7
    assert (project / 'calls').read_text().splitlines() == calls


def test_a_failed_step_is_named_and_repeated(project):
    done = quickstart(project, fails='vflnet_kd_demo')
    assert done.returncode == 1
    assert done.stderr == (
        'error: this step failed; its whole output is in '
        f'{project}/here/my runs/distilled/trained.log; rerun the command to '
        'resume\n'
    )
    assert 'table' not in done.stdout
    done = quickstart(project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('skipped: ') == 2
    # The time of the attempt that failed is not known.
    seconds = {
        name: (project / 'here/my runs' / name / 'trained').read_text()
        for name in ('alone', 'distilled')
    }
    assert seconds['alone'].strip().isdecimal()
    assert seconds['distilled'].startswith('> ')


@pytest.mark.parametrize(
    ('given', 'folder'),
    [('', 'work_dirs/quickstart'), ('{project}/runs', 'runs')],
)
def test_the_runs_lie_where_the_user_meant(project, given, folder):
    done = quickstart(project, WORK_DIR=given.format(project=project))
    assert done.returncode == 0, done.stderr
    assert (project / folder / 'teacher' / 'trained').is_file()


@pytest.mark.parametrize(
    'cores, given, threads', [(1, '', 1), (2, '', 1), (8, '', 6), (8, '3', 3)]
)
def test_the_workers_keep_their_cores(project, cores, given, threads):
    getconf = project / '.venv/bin/getconf'
    getconf.write_text(f'#!/bin/bash\necho {cores}\n')
    getconf.chmod(0o755)
    done = quickstart(project, OMP_NUM_THREADS=given)
    assert done.returncode == 0, done.stderr
    assert (project / 'threads').read_text() == f'{threads}\n' * 7
