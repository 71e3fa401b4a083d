"""Broken clips are counted per mode, and too many stop the run.

Runs over data sets with broken clips are tested with ResultsHook.
"""

import json
import logging
from types import SimpleNamespace

import pytest
from mmaction.structures import ActionDataSample
from mmengine.logging import MMLogger

from dvfl_mmaction import UserError
from dvfl_mmaction.engine import BrokenClipsHook


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


def test_an_epoch_without_broken_clips_writes_nothing(runner, tmp_path):
    hook = BrokenClipsHook()
    hook._after_epoch(runner, 'train')
    assert not (tmp_path / 'broken_clips.json').exists()
