"""Broken clips are reported, and too many of them stop a run."""

import json
from pathlib import Path

import pytest
from faulty_dataset import faulty_recipe, write_faulty_dataset
from small_recipe import run

from dvfl_mmaction.errors import UserError


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
