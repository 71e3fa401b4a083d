"""Testing a model: the same number each time, and what it was a test of."""

import json
from pathlib import Path

import cv2
import pytest
from hostile_clips import write_broken, write_readable
from mmengine.config import Config
from small_recipe import (
    NUM_CLASSES,
    recipe,
    recognizer,
    run,
    run_in_two_processes,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction.datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)
from dvfl_mmaction.errors import UserError

HOOKS = dict(
    broken_clips=dict(type='BrokenClipsHook'), results=dict(type='ResultsHook')
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Good clips, unusual ones and broken ones; a checkpoint to test."""
    folder = write_dataset(tmp_path_factory.mktemp('data'), clips_per_class=8)
    whole = read_annotations(folder / 'list.txt').clips
    for name in write_readable(folder):
        if name not in dict(whole) and name.endswith(('.mp4', '.mkv')):
            whole.append((name, len(whole) % NUM_CLASSES))
    (folder / 'broken').mkdir()
    broken = [(f'broken/{n}', 1) for n in write_broken(folder / 'broken')]
    header = dict(dataset='mine', split='paper')
    (folder / 'classes.txt').write_text('left\nright\nup\ndown it goes\n')
    write_annotations(folder / 'list.txt', Annotations(whole, header))
    write_annotations(
        folder / 'mixed.txt',
        Annotations(whole[:5] + broken + whole[5:], header),
    )
    write_teacher(folder / 'model.pth', config=recognizer())
    return folder, whole, broken


def config_of(data, work_dir, ann_file='mixed.txt', **loader):
    folder, *_ = data
    config = recipe(
        recognizer(),
        folder,
        work_dir,
        default_hooks=HOOKS,
        load_from=str(folder / 'model.pth'),
    )
    for name in ('test_dataloader', 'train_dataloader', 'val_dataloader'):
        config[name].update(loader)
        config[name]['dataset'].update(ann_file=ann_file)
    config['test_dataloader']['dataset'].update(test_mode=True)
    return config


def results_of(config) -> dict:
    """What ``results.json`` holds after a test."""
    runner = run(config, 'test')
    return json.loads(Path(runner.log_dir, 'results.json').read_text())


def test_twice_the_same_and_for_any_batch_size_and_workers(data, tmp_path):
    results = [
        results_of(config_of(data, tmp_path / str(i), **loader))
        for i, loader in enumerate(
            [
                dict(batch_size=4),
                dict(batch_size=4),
                dict(batch_size=1),
                dict(batch_size=7, num_workers=2),
            ]
        )
    ]
    first, second, *others = results
    assert first == second  # to the last bit, and every word of the rest
    for other in others:
        assert other.pop('calibration')['ece'] == pytest.approx(
            first['calibration']['ece'], abs=1e-6
        )
        assert other.pop('ece') == pytest.approx(first['ece'], abs=1e-6)
        wanted = {k: first[k] for k in other}
        assert other == wanted


def test_two_processes_count_every_clip_once(data, tmp_path):
    folder, whole, broken = data
    total = len(whole) + len(broken)
    if total % 2 == 0:
        whole = whole[:-1]  # so that one process would see a clip twice
    clips = whole[:6] + broken + whole[6:]
    write_annotations(folder / 'odd.txt', Annotations(clips))
    alone = results_of(config_of(data, tmp_path / 'one', 'odd.txt'))
    config = config_of(data, tmp_path / 'two', 'odd.txt')
    run_in_two_processes(config, tmp_path, 'test')
    (path,) = (tmp_path / 'two').glob('*/results.json')
    together = json.loads(path.read_text())
    together['config'] = alone['config']
    assert together == alone and together['clips'] == len(clips)
    reports = [
        json.loads((tmp_path / name / 'broken_clips.json').read_text())
        for name in ('one', 'two')
    ]
    assert reports[0] == reports[1]


def test_broken_clips_are_counted_as_wrong_and_named(data, tmp_path):
    folder, whole, broken = data
    found = results_of(config_of(data, tmp_path / 'mixed'))
    alone = results_of(config_of(data, tmp_path / 'alone', 'list.txt'))
    assert found['clips'] == len(whole) + len(broken)
    assert found['correct'] == alone['correct']
    assert found['confusion_matrix'] == alone['confusion_matrix']
    assert found['correct']['top1'] > 0
    assert {b['clip'] for b in found['broken']} == {
        f'{folder}/{name}' for name, _ in broken
    }
    report = json.loads((tmp_path / 'mixed/broken_clips.json').read_text())
    assert [(r['clip'], r['reason']) for r in report['test']] == sorted(
        (b['clip'], b['reason']) for b in found['broken']
    )
    assert not (tmp_path / 'alone/broken_clips.json').exists()


def test_results_say_what_they_are_of(data, tmp_path):
    folder, *_ = data
    (tmp_path / 'named.py').write_text(
        Config(config_of(data, tmp_path / 'work')).pretty_text
    )
    found = results_of(Config.fromfile(tmp_path / 'named.py'))
    assert found['config'] == str(tmp_path / 'named.py')
    assert found['checkpoint']['path'] == str(folder / 'model.pth')
    assert len(found['checkpoint']['sha256']) == 64
    assert found['annotations']['path'] == str(folder / 'mixed.txt')
    assert found['split'] == 'paper'
    assert found['dataset'] == dict(dataset='mine', split='paper')
    assert found['views'] == dict(form='1x1', clips=1, crops=1)
    assert {'torch', 'mmaction2', 'av'} <= set(found['versions'])
    assert found['per_class'][3]['label_name'] == 'down it goes'
    (log_dir,) = (tmp_path / 'work').glob('2*/results.json')
    picture = cv2.imread(str(log_dir.with_name('confusion.png')))
    assert min(picture.shape[:2]) > 300 and picture.std() > 5


def test_a_list_without_header_is_not_called_official(data, tmp_path):
    folder, whole, _ = data
    write_annotations(folder / 'plain.txt', Annotations(whole))
    found = results_of(config_of(data, tmp_path, 'plain.txt'))
    assert found['split'] == 'not stated' and found['dataset'] == {}


def test_training_goes_on_with_broken_clips_and_tells_them(data, tmp_path):
    folder, whole, broken = data
    runner = run(config_of(data, tmp_path), 'train')
    report = json.loads((tmp_path / 'broken_clips.json').read_text())
    for mode in ('train', 'val'):
        assert {r['clip'] for r in report[mode]} == {
            f'{folder}/{name}' for name, _ in broken
        }
        assert all(r['times'] >= 2 for r in report[mode])  # of two epochs
    log = next(Path(runner.log_dir).glob('*.log')).read_text()
    for name, _ in broken:
        assert log.count(f'broken clip {folder}/{name}:') == 1


def test_a_run_with_too_many_broken_clips_stops(data, tmp_path):
    config = config_of(data, tmp_path)
    config['default_hooks'] = dict(
        broken_clips=dict(type='BrokenClipsHook', max_share=0.05)
    )
    for mode in ('train', 'test'):
        with pytest.raises(UserError, match=f'3 of .* clips of {mode}'):
            run(config, mode)


def test_a_share_out_of_range_is_told(data, tmp_path):
    config = config_of(data, tmp_path)
    config['default_hooks'] = dict(
        broken_clips=dict(type='BrokenClipsHook', max_share=20)
    )
    with pytest.raises(UserError, match='max_share is 20'):
        run(config, 'test')
