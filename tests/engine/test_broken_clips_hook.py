"""Broken clips are counted and reported, and too many stop the run."""

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from faulty_dataset import faulty_recipe, write_faulty_dataset
from hostile_clips import write_broken
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from mmengine.logging import MMLogger
from small_recipe import recipe, recognizer, run, run_in_processes

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)
from dvfl_mmaction.engine import BrokenClipsHook, broken_clips_hook


@pytest.fixture
def runner(tmp_path):
    """Loops over 10 clips, and a logger."""
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=list(range(10))))
    return SimpleNamespace(
        work_dir=str(tmp_path),
        logger=MMLogger.get_instance('broken_clips'),
        train_loop=loop,
        val_loop=loop,
    )


def show(hook, runner, mode, *broken):
    """One iteration with a sample that met these broken clips."""
    sample = ActionDataSample()
    sample.set_metainfo(dict(broken=[(name, 'no frames') for name in broken]))
    hook._after_iter(runner, 0, dict(data_samples=[sample]), mode=mode)


def test_the_report_counts_occurrences_per_mode(runner, tmp_path, caplog):
    hook = BrokenClipsHook(max_share=0.2)
    runner.logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        hook._before_epoch(runner, 'train')
        show(hook, runner, 'train', 'b.mp4')
        show(hook, runner, 'train', 'a.mp4', 'b.mp4')
        hook._after_epoch(runner, 'train')
    show(hook, runner, 'val', 'c.mp4')
    hook._after_epoch(runner, 'val')
    report = json.loads((tmp_path / 'broken_clips.json').read_text())
    counts = {
        mode: {clip['clip']: clip['times'] for clip in clips}
        for mode, clips in report.items()
    }
    assert counts == dict(train={'a.mp4': 2, 'b.mp4': 4}, val={'c.mp4': 1})
    assert caplog.text.count('broken clip b.mp4: no frames') == 1
    assert '3 broken samples were replaced in this epoch' in caplog.text
    assert '1 broken samples were counted as wrong' in caplog.text


def test_a_share_above_the_limit_stops_the_run(runner):
    hook = BrokenClipsHook(max_share=0.2)
    show(hook, runner, 'train', 'a.mp4', 'b.mp4')
    with pytest.raises(UserError, match='3 of 10 clips of train .* share 0.2'):
        show(hook, runner, 'train', 'c.mp4')


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='RepeatDataset', times=5),
        dict(type='ClassBalancedDataset', oversample_thr=0.9),
    ],
)
def test_repeats_of_a_clip_do_not_raise_the_limit(runner, tmp_path, wrapper):
    lines = [f'{i}.mp4 {min(i, 2)}' for i in range(10)]
    (tmp_path / 'list.txt').write_text('\n'.join(lines))
    clips = dict(
        type='ClipDataset', ann_file=str(tmp_path / 'list.txt'), pipeline=[]
    )
    repeated = DATASETS.build(dict(wrapper, dataset=clips))
    assert len(repeated) >= 15
    runner.train_loop.dataloader.dataset = repeated
    hook = BrokenClipsHook(max_share=0.2)
    show(hook, runner, 'train', 'a.mp4', 'b.mp4')
    with pytest.raises(UserError, match='3 of 10 clips of train .* share 0.2'):
        show(hook, runner, 'train', 'c.mp4')


def test_an_epoch_without_broken_clips_writes_nothing(runner, tmp_path):
    hook = BrokenClipsHook()
    hook._after_epoch(runner, 'train')
    assert not (tmp_path / 'broken_clips.json').exists()


@pytest.fixture(scope='module')
def broken(data):
    """Adds three broken clips to a list; returns their paths."""
    (data / 'broken').mkdir()
    names = [f'broken/{name}' for name in write_broken(data / 'broken')]
    whole = read_annotations(data / 'list.txt').clips
    clips = [(name, 1) for name in names]
    write_annotations(data / 'mixed.txt', Annotations(whole[:5] + clips))
    return {f'{data}/{name}' for name in names}


def config_of(data, work_dir, max_share=1.0):
    config = recipe(
        recognizer(),
        data,
        work_dir,
        default_hooks=dict(
            broken_clips=dict(type='BrokenClipsHook', max_share=max_share),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1),
        ),
    )
    config['train_dataloader']['dataset'].update(ann_file='mixed.txt')
    config['train_cfg'].update(val_interval=99)
    return config


def report_of(work_dir):
    report = json.loads((work_dir / 'broken_clips.json').read_text())
    return {r['clip']: (r['reason'], r['times']) for r in report['train']}


def test_a_resumed_run_keeps_what_was_known(data, broken, tmp_path):
    config = config_of(data, tmp_path)
    last = run(config).iter
    whole = report_of(tmp_path)
    assert set(whole) == broken
    for iteration in (1, last - 1):
        (tmp_path / 'broken_clips.json').unlink()
        saved = str(tmp_path / f'iter_{iteration}.pth')
        run(dict(config, load_from=saved, resume=True))
        assert report_of(tmp_path) == whole


def test_a_resumed_run_forgets_clips_that_are_not_in_its_list(
    data, broken, tmp_path
):
    config = config_of(data, tmp_path)
    run(config)
    whole = read_annotations(data / 'list.txt').clips
    kept = min(broken)
    name = kept.removeprefix(f'{data}/')
    write_annotations(data / 'fewer.txt', Annotations([*whole, (name, 1)]))
    config['train_dataloader']['dataset'].update(ann_file='fewer.txt')
    # One clip may be broken, and not three.
    hook = config['default_hooks']['broken_clips']
    hook['max_share'] = 1.5 / (len(whole) + 1)
    saved = str(tmp_path / 'iter_2.pth')  # knows all
    resumed = run(dict(config, load_from=saved, resume=True))
    assert set(report_of(tmp_path)) == {kept}
    saved = torch.load(
        tmp_path / f'iter_{resumed.iter}.pth', weights_only=True
    )
    assert set(saved['broken_clips']['reasons']['train']) == {kept}
    assert set(saved['broken_clips']['times']['train']) == {kept}


def resumed_hook(runner, *names):
    """A hook that knows broken clips from a checkpoint."""
    known = dict.fromkeys(names, 'no frames')
    hook = BrokenClipsHook(max_share=0.2)
    runner._resume = True
    times = dict.fromkeys(names, 4)
    hook.after_load_checkpoint(
        runner,
        dict(
            broken_clips=dict(
                reasons=dict(train=known), times=dict(train=times)
            )
        ),
    )
    return hook


def test_a_clip_of_the_checkpoint_that_can_be_read_is_forgotten(
    runner, tmp_path
):
    hook = resumed_hook(runner, 'a.mp4', 'b.mp4')
    hook._before_epoch(runner, 'train')
    repaired = ActionDataSample(metainfo=dict(filename='a.mp4'))
    hook._after_iter(runner, 0, dict(data_samples=[repaired]))
    show(hook, runner, 'train', 'b.mp4')
    show(hook, runner, 'train', 'c.mp4')  # 2 of 10, not 3
    hook._after_epoch(runner, 'train')
    counts = {name: times for name, (_, times) in report_of(tmp_path).items()}
    assert counts == {'b.mp4': 5, 'c.mp4': 1}
    # What this run has met stays.
    again = ActionDataSample(metainfo=dict(filename='c.mp4'))
    hook._after_iter(runner, 0, dict(data_samples=[again]))
    assert set(hook.reasons['train']) == {'b.mp4', 'c.mp4'}


def test_the_report_is_empty_when_all_are_forgotten(runner, tmp_path):
    hook = resumed_hook(runner, 'a.mp4')
    show(hook, runner, 'train', 'a.mp4')
    hook._after_epoch(runner, 'train')
    assert set(report_of(tmp_path)) == {'a.mp4'}
    hook = resumed_hook(runner, 'a.mp4')
    hook._before_epoch(runner, 'train')
    repaired = ActionDataSample(metainfo=dict(filename='a.mp4'))
    hook._after_iter(runner, 0, dict(data_samples=[repaired]))
    hook._after_epoch(runner, 'train')
    assert report_of(tmp_path) == {}


@pytest.mark.parametrize('broken_elsewhere', [False, True])
def test_processes_forget_a_clip_together(
    runner, monkeypatch, broken_elsewhere
):
    hook = resumed_hook(runner, 'a.mp4')
    other = {'a.mp4': False} if broken_elsewhere else {}
    monkeypatch.setattr(broken_clips_hook, 'get_world_size', lambda: 2)
    monkeypatch.setattr(
        broken_clips_hook,
        'all_gather_object',
        lambda own: [own, other if 'a.mp4' in own else {}],
    )
    hook._before_epoch(runner, 'train')
    repaired = ActionDataSample(metainfo=dict(filename='a.mp4'))
    hook._after_iter(runner, 2, dict(data_samples=[repaired]))
    assert 'a.mp4' in hook.reasons['train']  # no exchange
    hook._after_iter(runner, 3, dict(data_samples=[]))
    assert ('a.mp4' in hook.reasons['train']) == broken_elsewhere


def test_two_processes_log_each_clip_once(data, broken, tmp_path):
    run_in_processes(config_of(data, tmp_path / 'work'), tmp_path)
    logs = (tmp_path / 'work').glob('*/*.log')
    text = ''.join(path.read_text() for path in logs)
    named = re.findall(r'broken clip (\S+):', text)
    assert sorted(named) == sorted(broken)
    times = [times for _, times in report_of(tmp_path / 'work').values()]
    assert min(times) >= 2  # of two epochs


def test_all_processes_stop_at_the_same_iteration(runner, monkeypatch):
    other = {f'{i}.mp4': 'no frames' for i in range(3)}  # of another process
    monkeypatch.setattr(broken_clips_hook, 'get_world_size', lambda: 2)
    monkeypatch.setattr(
        broken_clips_hook, 'all_gather_object', lambda own: [own, other]
    )
    hook = BrokenClipsHook(max_share=0.2)
    readable = dict(data_samples=[ActionDataSample()])
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 2, readable)  # no exchange
    with pytest.raises(UserError, match='3 of 10 clips of train'):
        hook.after_train_iter(runner, 3, readable)


def test_exchanges_are_early_and_then_regular():
    exchanges = [i for i in range(110) if broken_clips_hook.is_exchange(i)]
    assert exchanges == [0, 1, 3, 7, 15, 31, 49, 63, 99]


@pytest.fixture(scope='module')
def faulty_data(tmp_path_factory):
    return write_faulty_dataset(tmp_path_factory.mktemp('faulty'))


def test_training_continues_and_reports_broken_clips(faulty_data, tmp_path):
    folder, whole, broken = faulty_data
    runner = run(faulty_recipe(faulty_data, tmp_path), 'train')
    report = json.loads((tmp_path / 'broken_clips.json').read_text())
    for mode in ('train', 'val'):
        assert {r['clip'] for r in report[mode]} == {
            f'{folder}/{name}' for name, _ in broken
        }
        assert all(r['times'] >= 2 for r in report[mode])  # once per epoch
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    for name, _ in broken:
        assert log.count(f'broken clip {folder}/{name}:') == 1


def test_a_run_with_too_many_broken_clips_stops(faulty_data, tmp_path):
    config = faulty_recipe(faulty_data, tmp_path)
    config['default_hooks'] = dict(
        broken_clips=dict(type='BrokenClipsHook', max_share=0.05)
    )
    for mode in ('train', 'test'):
        with pytest.raises(UserError, match=f'3 of .* clips of {mode}'):
            run(config, mode)


def test_a_share_out_of_range_is_reported(faulty_data, tmp_path):
    config = faulty_recipe(faulty_data, tmp_path)
    config['default_hooks'] = dict(
        broken_clips=dict(type='BrokenClipsHook', max_share=20)
    )
    with pytest.raises(UserError, match='max_share is 20'):
        run(config, 'test')
