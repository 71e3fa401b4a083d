"""The tool that trains and compares settings, run by a user."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from mmengine.config import Config
from small_recipe import distiller, recipe, recognizer, write_dataset
from small_recipe import write_teacher as write_weights
from warm_process import finish, run_main, run_script, start

from dvfl_mmaction.locks import hold

TOOL = Path(__file__).parents[2] / 'tools' / 'ablate.py'
GRID = ['--grid', 'optim_wrapper.optimizer.lr=0.05,-1', '--out', 'out']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips, a teacher and a distillation's config."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=1)
    # A teacher of a dict is not tested by itself.
    teacher = write_weights(folder / 'teacher.pth', config=recognizer())
    model = distiller(teacher, alpha=0.3)
    cfg = recipe(model, folder / 'clips', folder / 'work')
    cfg['custom_imports'] = dict(
        imports=['dvfl_mmaction'], allow_failed_imports=False
    )
    cfg['train_cfg']['max_epochs'] = 12
    cfg['default_hooks'] |= dict(
        logger=dict(type='LoggerHook', interval=1),
        teacher_recording=dict(type='TeacherRecordingHook'),
    )
    del cfg['work_dir'], cfg['experiment_name']
    Config(cfg).dump(str(folder / 'kd.py'))
    return folder


@pytest.fixture(scope='module')
def killed(folder, tmp_path_factory):
    """The standard error of an ablation that was stopped in its training."""
    output = tmp_path_factory.mktemp('output') / 'killed'
    words = [str(TOOL), 'kd.py', *GRID]
    process = start(run_main, (words,), output, cwd=folder)
    deadline = time.monotonic() + 600
    while not list(folder.glob('out/runs/*0.05*/seed_0/epoch_*.pth')):
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    done = finish(process, output)
    assert done.returncode == 130, done.stderr
    return done.stderr


@pytest.fixture(scope='module')
def resumed(folder, killed):
    """The ablation after it was run again, as jobs of submitit."""
    pytest.importorskip('submitit', reason='needs dvfl_mmaction[slurm]')
    words = ['kd.py', *GRID, '--launcher', 'submitit']
    words += ['--submitit', 'timeout_min=5', '--compare', '1', '1']
    return run_script(TOOL, *words, cwd=folder, timeout=900)


def test_ctrl_c_ends_the_training_and_says_how_to_resume(folder, killed):
    assert killed.splitlines()[-1] == (
        'stopped; 0 of 2 runs are finished; rerun the command to resume'
    )
    (run,) = (folder / 'out' / 'runs').glob('*0.05*/seed_0')
    assert not (run / 'run.json').exists()
    assert not (run / 'epoch_12.pth').exists()


def test_the_rerun_resumes_and_marks_the_setting_that_fails(folder, resumed):
    assert resumed.returncode == 1
    assert resumed.stderr.strip().splitlines()[-1] == (
        'error: 1 runs failed: kd lr=-1 seed 0; their logs are log.txt in '
        'their folders; rerun the command to try them again'
    )
    results = json.loads((folder / 'out' / 'results.json').read_text())
    failed, done = results['runs']
    assert failed['name'] == 'kd lr=-1' and failed['status'] == 'failed'
    assert 'Invalid learning rate: -1' in failed['error']
    assert done['name'] == 'kd lr=0.05' and done['status'] == 'done'
    assert 0 <= done['top1'] <= 1 and done['clips'] == 4
    assert done['minutes'] > 0 and done['memory_mb'] > 100
    assert Path(folder, done['scores']).is_file()
    log = Path(folder, done['log']).read_text()
    assert 'resumed epoch' in log
    assert done['parameters'] == failed['parameters'] > 1000


def test_the_rerun_prints_table_and_comparison(folder, resumed):
    lines = resumed.stdout.splitlines()
    assert lines[0].startswith('| # | setting')
    assert lines[2].split('|')[2].strip() == 'kd lr=0.05'
    assert '+0.0 points of top-1, 95 % interval' in resumed.stdout
    assert list((folder / 'out' / 'submitit').iterdir())


def test_failed_runs_are_reported_before_what_follows_from_them(folder):
    words = ['--cfg-options', 'optim_wrapper.optimizer.lr=-1']
    words += ['--out', 'failing', '--compare', 'kd', 'kd']
    done = run_script(TOOL, 'kd.py', *words, cwd=folder, timeout=600)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    first, second = [line for line in lines if line.startswith('error: ')]
    assert first == (
        'error: 1 runs failed: kd seed 0; their logs are log.txt in their '
        'folders; rerun the command to try them again'
    )
    assert second.startswith("error: 'kd' is no setting with a finished run")


def test_finished_runs_are_skipped(folder, resumed):
    done = run_script(TOOL, 'kd.py', *GRID, '--dry-run', cwd=folder)
    assert done.returncode == 0, done.stderr
    states = [line.partition(' (')[0] for line in done.stdout.splitlines()]
    assert states == ['finished: kd lr=0.05 seed 0', 'to do: kd lr=-1 seed 0']


@pytest.mark.parametrize(
    ('words', 'status', 'message'),
    [
        (['kd.py'], 2, 'give the folder of the results: --out FOLDER'),
        ([], 2, 'give either a config or --report OUT'),
        (['kd.py', '--out', 'x', '--jobs', '0'], 2, '--jobs 0; give 1'),
        (['no.py', '--out', 'x'], 1, 'error: config no.py was not found'),
        (['--report', 'x', '--clip-groups', 'y'], 2, 'needs --compare A B'),
        (['--report', 'no'], 1, 'error: no results of an ablation in no'),
    ],
)
def test_mistakes_are_reported_in_one_line(folder, words, status, message):
    done = run_script(TOOL, *words, cwd=folder)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr


def test_two_ablations_of_a_folder_are_refused(folder, tmp_path):
    with hold(tmp_path / 'ablation.lock', 'refused'):
        done = run_script(TOOL, 'kd.py', '--out', tmp_path, cwd=folder)
    assert done.returncode == 1 and done.stderr == (
        f'\nerror: another ablation writes to {tmp_path}; wait for it, or '
        'give another --out\n\n'
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--pool', 'folds'], 'error: --pool folds: no run has this axis'),
        (['--compare', 'kd lr=0.05', 'kb'], "error: --compare 'kb': no "),
    ],
)
def test_the_report_is_checked_before_the_runs(
    folder, tmp_path, words, message
):
    command = ['kd.py', *GRID[:-2], '--out', tmp_path, *words]
    done = run_script(TOOL, *command, cwd=folder)
    assert done.returncode == 1 and message in done.stderr
    assert not list(tmp_path.glob('runs/*/*/log.txt'))


def test_each_fold_is_planned_with_its_own_teacher(folder):
    folds = {i: {'train_cfg.val_interval': int(i)} for i in ('1', '2')}
    (folder / 'folds.json').write_text(json.dumps(folds))
    (folder / 'teachers').mkdir()

    def plan(*values):
        runs = [
            dict(
                kind='alone',
                status='done',
                labels={'folds': value},
                checkpoint=f'of_{value}.pth',
            )
            for value in values
        ]
        path = folder / 'teachers' / 'results.json'
        path.write_text(json.dumps(dict(runs=runs)))
        words = ['--vary', 'folds.json', '--teachers', 'teachers']
        words += ['--out', 'folds', '--dry-run']
        return run_script(TOOL, 'kd.py', *words, cwd=folder)

    done = plan('1')
    assert done.returncode == 1
    assert 'teachers has 0 finished teachers for folds 2' in done.stderr
    done = plan('1', '2')
    assert done.returncode == 0, done.stderr
    for fold in folds:
        (path,) = folder.glob(f'folds/runs/kd_folds={fold}-*/seed_0/config.py')
        teacher = Config.fromfile(str(path)).model.teacher
        assert teacher.checkpoint == f'of_{fold}.pth'
