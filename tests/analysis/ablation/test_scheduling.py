"""Runs side by side: slots, failures, Ctrl-C, locks."""

import errno
import json
import os
import resource
import signal
import threading
import time

import pytest

from dvfl_mmaction.analysis.ablation import run as running
from dvfl_mmaction.analysis.ablation import scheduling, stopping
from dvfl_mmaction.analysis.ablation.execution import end_of_log, gpu_memory
from dvfl_mmaction.analysis.ablation.locks import wait_for
from dvfl_mmaction.analysis.ablation.plan import Run
from dvfl_mmaction.analysis.ablation.scheduling import (
    run_all,
    slot_environments,
)
from dvfl_mmaction.analysis.ablation.stopping import Stopped, run_command
from dvfl_mmaction.errors import UserError


def make_runs(count, folder):
    fixed = dict(config='', kind='alone', labels={}, options={}, digest='')
    return [
        Run(name=f'r{i}', seed=0, folder=str(folder), parameters=0, **fixed)
        for i in range(count)
    ]


def test_a_slot_is_a_gpu_or_a_share_of_the_cores(monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,7')
    assert [e['CUDA_VISIBLE_DEVICES'] for e in slot_environments(3)] == [
        *('4', '7', '4'),
    ]
    cores = len(os.sched_getaffinity(0))
    assert slot_environments(2 * cores)[1] == {
        'CUDA_VISIBLE_DEVICES': '7',
        'OMP_NUM_THREADS': '1',
    }
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    assert slot_environments(1) == [{'OMP_NUM_THREADS': str(cores)}]
    assert slot_environments(2 * cores)[-1] == {'OMP_NUM_THREADS': '1'}
    monkeypatch.delattr(os, 'sched_getaffinity')  # as on macOS
    threads = str(os.cpu_count())
    assert slot_environments(1) == [{'OMP_NUM_THREADS': threads}]
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert slot_environments(1) == [{}]


def test_failures_do_not_stop_others_and_lines_tell_the_progress(tmp_path):
    lines, used, finished = [], [], []

    def execute(run, environment, stop):
        used.append(environment['SLOT'])
        if run.name == 'r1':
            return dict(status='failed', error='boom')
        if run.name == 'r2':
            raise OSError('no node')
        return dict(status='done', top1=0.5)

    slots = [dict(SLOT=0), dict(SLOT=1)]
    failed = run_all(
        make_runs(4, tmp_path),
        execute,
        slots,
        lambda: finished.append(1),
        lines.append,
    )
    assert sorted(run.name for run in failed) == ['r1', 'r2']
    assert len(finished) == 4 and set(used) <= {0, 1}
    ended = [line for line in lines if line.startswith('[')]
    assert ended[-1].startswith('[4/4] ') and ended[-1].endswith(
        'runs/min, 0:00:00 left'
    )
    assert any('r1 seed 0: failed, boom; ' in line for line in ended)
    assert any('failed, OSError: no node' in line for line in ended)
    assert any('r0 seed 0: top-1 50.0 %' in line for line in ended)
    marked = json.loads((tmp_path / 'run.json').read_text())
    assert (marked['name'], marked['error']) == ('r2', 'OSError: no node')


def write_to_a_full_disk(*_):
    raise OSError(errno.ENOSPC, 'No space left on device', 'results.json')


@pytest.mark.parametrize('where', ['run', 'result', 'results'])
def test_a_full_disk_stops_all_runs(tmp_path, monkeypatch, where):
    started, begun, stopped = [], threading.Event(), threading.Event()
    reason = 'a: No space left on device; free'

    def execute(run, environment, stop):
        started.append(run.name)
        if run.name == 'r0':
            assert begun.wait(20)
            if where == 'run':
                return dict(status='failed', error=reason)
            if where == 'result':
                write_to_a_full_disk()
            return dict(status='done', error=None, top1=0.5)
        begun.set()
        if stop.wait(20):
            stopped.set()
        raise Stopped

    finish = write_to_a_full_disk if where == 'results' else lambda: None
    monkeypatch.setattr(scheduling, 'mark_failed', write_to_a_full_disk)
    with pytest.raises(OSError) as caught:
        run_all(make_runs(4, tmp_path), execute, [{}, {}], finish, print)
    assert caught.value.errno == errno.ENOSPC
    if where == 'run':
        assert caught.value.strerror == f'r0 seed 0: failed, {reason}'
    assert stopped.is_set() and 'r3' not in started


def test_a_full_disk_is_reported_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(running, 'plan_runs', write_to_a_full_disk)
    with pytest.raises(UserError) as caught:
        running.run_ablation([], [0], tmp_path)
    assert str(caught.value) == (
        'the disk is full (results.json: No space left on device); free some '
        'space, and rerun the command to resume'
    )


@pytest.mark.parametrize('kind', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_children_and_says_how_to_resume(
    tmp_path, monkeypatch, kind
):
    # A shell's background process ignores Ctrl-C: it is ended by force.
    monkeypatch.setattr(stopping, 'GRACE_S', 0.2)
    mark = tmp_path / 'pid'
    ended = []

    def execute(run, environment, stop):
        if run.name == 'r0':
            return dict(status='done', top1=0.5)
        threading.Timer(0.3, os.kill, (os.getpid(), kind)).start()
        script = f'sleep 60 & echo $! > {mark}; wait'
        try:
            run_command(['sh', '-c', script], tmp_path / 'log', {}, stop)
        except Stopped:
            ended.append(run.name)
            raise

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as stopped:
            run_all(make_runs(3, tmp_path), execute, [{}], lambda: None, print)
    finally:
        signal.signal(signal.SIGINT, before)
    assert str(stopped.value) == (
        'stopped; 1 of 3 runs are finished; rerun the command to resume'
    )
    assert ended == ['r1']  # r2 did not start
    assert not os.path.exists(f'/proc/{int(mark.read_text())}')


def test_a_run_that_failed_is_not_finished(tmp_path):
    failure = dict(status='failed', error='boom')

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match='stopped; 0 of 2 runs are'):
        run_all(
            make_runs(2, tmp_path),
            lambda *_: failure,
            [{}],
            interrupt,
            print,
        )


def test_a_command_logs_and_reports_status_and_memory(tmp_path):
    log = tmp_path / 'log'
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for words in (['sh', '-c', 'echo $A; exit 3'], ['true']):
        found = run_command(words, log, dict(A='b'), threading.Event())
        assert 1e6 < found[1] <= own
    assert found[0] == 0
    assert log.read_text() == '$ sh -c echo $A; exit 3\nb\n$ true\n'
    assert os.environ.get('A') is None


def test_the_end_of_a_log_is_the_error_of_the_last_command(tmp_path):
    log = tmp_path / 'log'
    log.write_text('$ one\nerror: old\n$ two\na\n\nb\n')
    assert end_of_log(log) == 'a\nb'
    log.write_text('$ one\n$ two\na\nerror: new\nTraceback\n')
    assert end_of_log(log) == 'error: new'


def test_gpu_memory_is_the_largest_that_was_logged(tmp_path):
    assert gpu_memory(tmp_path) is None
    path = tmp_path / 'time' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"memory": 5}\n{"memory": 9}\n{"acc": 1}\n{"mem')
    assert gpu_memory(tmp_path) == 9


def test_a_training_that_outlives_its_ablation_is_waited_for(tmp_path):
    """Its processes inherit the lock of the run."""
    stop, path, lines = threading.Event(), tmp_path / 'lock', []
    with wait_for(path, stop, print) as lock:
        child = threading.Thread(
            target=run_command,
            args=(['sleep', '0.6'], tmp_path / 'log', {}, stop, [lock]),
        )
        child.start()
        time.sleep(0.2)  # the child has the lock
    start = time.monotonic()
    with wait_for(path, stop, lines.append):
        assert time.monotonic() - start > 0.2
    assert lines == [f'waiting for the process that holds {path}']
    child.join()
