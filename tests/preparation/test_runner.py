"""Jobs on any executor: local processes and a dask cluster agree."""

import os
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from warm_process import run_script

from dvfl_mmaction.errors import UserError
from dvfl_mmaction.preparation.clips import check, jobs, pools
from dvfl_mmaction.preparation.clips.check import check_clips
from dvfl_mmaction.preparation.clips.jobs import run_jobs
from dvfl_mmaction.preparation.clips.pack import pack_clips
from dvfl_mmaction.preparation.clips.pools import ProcessPool, open_pool
from dvfl_mmaction.preparation.clips.runner import even_sample
from dvfl_mmaction.project_paths import find_file


def crash_on_multiples_of_ten(number):
    if number % 10 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return -number


RELEASED = threading.Event()


def wait_for_release(number):
    """Returns at once for 0; otherwise waits, in a thread of this process."""
    if number:
        RELEASED.wait(60)


def content(folder: Path, *suffixes) -> dict[str, bytes]:
    """Files below a folder with one of the suffixes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.suffix in suffixes
    }


def test_all_jobs_are_done_by_any_number_of_processes():
    for workers in (1, 2, 5, 40):
        outcomes = list(
            run_jobs(abs, list(range(-20, 0)), ProcessPool(workers))
        )
        assert {o.job: o.value for o in outcomes} == {
            -i: i for i in range(1, 21)
        }
    (failed,) = run_jobs(abs, ['text'], ProcessPool(1))
    assert failed.error.startswith('TypeError: bad operand')


def test_several_crashes_among_parallel_jobs_are_each_identified():
    outcomes = list(
        run_jobs(crash_on_multiples_of_ten, list(range(1, 41)), ProcessPool(3))
    )
    assert sorted(o.job for o in outcomes) == list(range(1, 41))
    for outcome in outcomes:
        if outcome.job % 10:
            assert (outcome.value, outcome.error) == (-outcome.job, None)
        else:
            assert outcome.error == 'the decoder crashed (SIGKILL)'


def test_closing_the_outcomes_ends_the_processes():
    pool = ProcessPool(2)
    outcomes = run_jobs(abs, list(range(100)), pool)
    next(outcomes)
    processes = pool._context.processes
    assert len(processes) == 2
    outcomes.close()
    assert not any(process.is_alive() for process in processes)


def test_a_worker_without_the_folders_is_an_error(tmp_path):
    function = partial(check.decode_clip, tmp_path / 'absent')
    with pytest.raises(UserError, match='absent not found on a worker'):
        list(run_jobs(function, ['a.avi'], ProcessPool(1)))


def test_a_sample_is_evenly_spaced():
    assert even_sample(list(range(8)), 4) == ([0, 2, 4, 6], [1, 3, 5, 7])
    assert even_sample([1, 2], 4) == ([1, 2], [])


@pytest.fixture(scope='module')
def distributed():
    """The package, set up so that a crashed worker restarts quickly."""
    distributed = pytest.importorskip(
        'distributed', reason='dask.distributed is not installed'
    )
    # Workers are forked from a process that has imported torch.
    settings = {
        'distributed.worker.multiprocessing-method': 'forkserver',
        'distributed.scheduler.allowed-failures': 0,
    }
    with pytest.importorskip('dask').config.set(settings):
        distributed.utils.get_mp_context().set_forkserver_preload(
            ['distributed', 'dvfl_mmaction.preparation.clips.pack']
        )
        yield distributed


@pytest.fixture(scope='module')
def scheduler(distributed):
    """Address of a cluster of two worker processes on this machine."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host='127.0.0.1',
        dashboard_address='127.0.0.1:0',
    ) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_checks_as_local_processes_do(root, scheduler):
    local = check_clips(root, workers=2)
    files = content(root, '.csv', '.txt')
    for name in ('check.jsonl', 'check.csv'):
        (root / name).unlink()
    remote = check_clips(root, scheduler=scheduler)
    assert remote == local and remote.decoded == 4
    assert content(root, '.csv', '.txt') == files
    assert check_clips(root, workers=1).decoded == 0  # the same journal


def test_a_cluster_packs_as_local_processes_do(root, scheduler, tmp_path):
    local = pack_clips(root, tmp_path / 'local', workers=2)
    remote = pack_clips(root, tmp_path / 'remote', scheduler=scheduler)
    assert (remote.facts, remote.packed) == (local.facts, 3)
    files = content(tmp_path / 'local', '.avi', '.txt')
    assert len(files) == 6
    assert content(tmp_path / 'remote', '.avi', '.txt') == files
    assert pack_clips(root, tmp_path / 'remote', workers=1).packed == 0


def test_the_tool_uses_a_scheduler(root, scheduler, tmp_path):
    script = find_file('tools/prepare_dataset.py')
    words = ['custom', '--root', root, '--check', '--pack', tmp_path / 'new']
    done = run_script(script, *words, '--scheduler', scheduler)
    assert done.returncode == 0, done.stderr
    assert '4 clips, 4 to check' in done.stdout
    assert '4 clips, 4 to pack' in done.stdout
    assert len(content(tmp_path / 'new', '.avi')) == 3
    assert (root / 'train_checked.txt').is_file()


def test_a_clip_that_crashes_workers_is_broken(root, scheduler, monkeypatch):
    real = check.decode_clip

    def crashing(videos, name, **kwargs):  # local, so it is pickled by value
        if name == 'd.avi':
            os.kill(os.getpid(), signal.SIGKILL)
        return real(videos, name, **kwargs)

    monkeypatch.setattr(check, 'decode_clip', crashing)
    report = check_clips(root, scheduler=scheduler)
    assert report.facts['d.avi'].error == 'the decoder crashed (KilledWorker)'
    assert report.named('ok') == ['x/a.avi', 'x/b c.avi']


def test_a_crash_on_a_cluster_costs_one_job(scheduler):
    def crash_on_ten(number):  # local, so it is pickled by value
        if number == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return -number

    with open_pool(None, scheduler) as pool:
        outcomes = list(run_jobs(crash_on_ten, [9, 10, 11], pool))
    assert {o.job: o.value for o in outcomes} == {9: -9, 10: None, 11: -11}
    (error,) = (o.error for o in outcomes if o.error)
    assert error == 'the decoder crashed (KilledWorker)'


def test_a_scheduler_that_does_not_answer_is_one_line(root, monkeypatch):
    pytest.importorskip('distributed')
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        address = f'tcp://127.0.0.1:{unused.getsockname()[1]}'
    monkeypatch.setattr(pools, 'CONNECT_TIMEOUT_S', 0.5)
    for wrong in (address, 'nothing://here:1'):
        with pytest.raises(UserError, match='no dask scheduler answers') as e:
            check_clips(root, scheduler=wrong)
        assert wrong in str(e.value) and '\n' not in str(e.value)


@pytest.fixture
def small_cluster(distributed):
    """A scheduler without workers, in this process."""
    # Closing a cluster without its scheduler waits for this time.
    short = {'distributed.comm.timeouts.connect': '2s'}
    with (
        pytest.importorskip('dask').config.set(short),
        distributed.LocalCluster(
            n_workers=0,
            processes=False,
            protocol='tcp',
            host='127.0.0.1',
            dashboard_address='127.0.0.1:0',
        ) as cluster,
    ):
        RELEASED.clear()
        yield cluster
        RELEASED.set()


def test_a_scheduler_without_workers_is_one_line(
    root, small_cluster, monkeypatch
):
    monkeypatch.setattr(pools, 'CONNECT_TIMEOUT_S', 1)
    address = small_cluster.scheduler_address
    with pytest.raises(UserError, match='has no workers; start some') as e:
        check_clips(root, scheduler=address)
    assert address in str(e.value) and '\n' not in str(e.value)


def test_a_client_that_starts_late_is_tried_again(
    small_cluster, distributed, monkeypatch
):
    starts, runner_type = [], distributed.utils.LoopRunner

    def start_late(runner):
        starts.append(runner)
        assert len(starts) > late
        return start(runner)

    start = runner_type._start_unlocked
    monkeypatch.setattr(runner_type, '_start_unlocked', start_late)
    small_cluster.scale(1)
    late = 2
    with open_pool(None, small_cluster.scheduler_address) as pool:
        assert next(run_jobs(abs, [-3], pool)).value == 3
    assert len(starts) == 3
    late = 9
    with (
        pytest.raises(UserError, match='thread does not start'),
        open_pool(None, small_cluster.scheduler_address),
    ):
        pass
    assert len(starts) == 6


def test_a_cluster_that_loses_its_workers_is_one_line(
    small_cluster, monkeypatch
):
    monkeypatch.setattr(pools, 'CONNECT_TIMEOUT_S', 1)
    monkeypatch.setattr(jobs, 'CHECK_INTERVAL_S', 0.2)
    small_cluster.scale(1)
    with open_pool(None, small_cluster.scheduler_address) as pool:
        outcomes = run_jobs(wait_for_release, [0, 1, 2], pool)
        assert next(outcomes).value is None
        small_cluster.scale(0)
        with pytest.raises(UserError, match='has no workers; start some'):
            next(outcomes)


def test_a_scheduler_that_ends_is_one_line(small_cluster):
    small_cluster.scale(1)
    with open_pool(None, small_cluster.scheduler_address) as pool:
        outcomes = run_jobs(wait_for_release, [0, 1, 2], pool)
        assert next(outcomes).job == 0
        small_cluster.sync(small_cluster.scheduler.close)
        with pytest.raises(UserError, match='scheduler dropped the work'):
            next(outcomes)


def test_a_missing_extra_and_two_kinds_of_workers_are_errors(
    root, monkeypatch
):
    with pytest.raises(UserError, match='give --workers or --scheduler'):
        check_clips(root, workers=2, scheduler='tcp://127.0.0.1:1')
    monkeypatch.setitem(sys.modules, 'distributed', None)
    with pytest.raises(UserError, match=r'pip install dvfl_mmaction\[dask\]'):
        check_clips(root, scheduler='tcp://127.0.0.1:1')
