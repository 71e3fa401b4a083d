"""Results are reproducible and name what was tested."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from faulty_dataset import faulty_recipe, write_faulty_dataset
from mmaction.registry import METRICS
from mmengine.config import Config
from mmengine.logging import MMLogger
from small_recipe import run, run_in_processes

from dvfl_mmaction.datasets.annotations import Annotations, write_annotations
from dvfl_mmaction.evaluation import confusion_figure
from dvfl_mmaction.evaluation.results_hook import (
    ResultsHook,
    format_results,
    path_and_hash,
    views_of,
)


def test_results_have_null_for_what_is_no_number():
    text = format_results(dict(mean1=float('nan'), confusion_matrix=[[1]]))
    assert json.loads(text) == dict(mean1=None, confusion_matrix=[[1]])


def test_a_path_from_the_home_folder_is_hashed(tmp_path, monkeypatch):
    """As of ``--checkpoint=~/a.pth``, which a shell leaves as it is."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))
    (tmp_path / 'a.pth').write_bytes(b'x')
    wanted = hashlib.sha256(b'x').hexdigest()
    assert path_and_hash('~/a.pth') == dict(path='~/a.pth', sha256=wanted)
    assert path_and_hash('~/b.pth') is path_and_hash(None) is None


def test_a_test_without_top_1_has_results_and_a_figure(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(
        confusion_figure,
        'save_confusion_figure',
        lambda *_, title, **kwargs: titles.append(title),
    )
    metric = METRICS.build(dict(type='ClipMetric', top_k=(2, 3)))
    for label in range(3):
        score = torch.tensor([0.5, 0.3, 0.2])
        sample = dict(pred_score=score, gt_label=torch.tensor([label]))
        metric.process(None, [sample])
    metric.evaluate(3)
    hook = ResultsHook()
    hook.views = dict(form='1x1', clips=1, crops=1)
    hook.class_names = None
    runner = SimpleNamespace(
        test_loop=SimpleNamespace(evaluator=SimpleNamespace(metrics=[metric])),
        test_dataloader=SimpleNamespace(dataset=[]),
        cfg=Config(dict(model={})),
        log_dir=tmp_path,
        logger=MMLogger.get_instance('results'),
    )
    hook.after_test_epoch(runner)
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['correct'] == dict(top2=2, top3=3)
    assert titles == [', 1x1: top-2 66.67 %']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_faulty_dataset(tmp_path_factory.mktemp('data'))


def results_of(config) -> dict:
    """Contents of ``results.json`` after a test."""
    runner = run(config, 'test')
    return json.loads(Path(runner.log_dir, 'results.json').read_text())


def test_results_do_not_depend_on_batch_size_or_workers(data, tmp_path):
    results = [
        results_of(faulty_recipe(data, tmp_path / str(i), **loader))
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
    assert first == second  # bit for bit
    for other in others:
        assert other.pop('calibration')['ece'] == pytest.approx(
            first['calibration']['ece'], abs=1e-6
        )
        assert other.pop('ece') == pytest.approx(first['ece'], abs=1e-6)
        wanted = {k: first[k] for k in other}
        assert other == wanted


@pytest.mark.parametrize('num_processes', [2, 3])
def test_processes_count_every_clip_once(data, tmp_path, num_processes):
    folder, whole, broken = data
    # Not divisible: a sampler that rounds up would repeat a clip.
    while (len(whole) + len(broken)) % num_processes == 0:
        whole = whole[:-1]
    clips = whole[:6] + broken + whole[6:]
    write_annotations(folder / 'odd.txt', Annotations(clips))
    alone = results_of(faulty_recipe(data, tmp_path / 'one', 'odd.txt'))
    config = faulty_recipe(data, tmp_path / 'two', 'odd.txt')
    run_in_processes(config, tmp_path, 'test', num_processes=num_processes)
    (path,) = (tmp_path / 'two').glob('*/results.json')
    together = json.loads(path.read_text())
    together['config'] = alone['config']
    assert together == alone and together['clips'] == len(clips)
    reports = [
        json.loads((tmp_path / name / 'broken_clips.json').read_text())
        for name in ('one', 'two')
    ]
    assert reports[0] == reports[1]


def test_broken_clips_count_as_wrong_and_are_named(data, tmp_path):
    folder, whole, broken = data
    found = results_of(faulty_recipe(data, tmp_path / 'mixed'))
    alone = results_of(faulty_recipe(data, tmp_path / 'alone', 'list.txt'))
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


def test_results_name_what_was_tested(data, tmp_path):
    folder, *_ = data
    (tmp_path / 'named.py').write_text(
        Config(faulty_recipe(data, tmp_path / 'work')).pretty_text
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
    (results,) = (tmp_path / 'work').glob('2*/results.json')
    picture = cv2.imread(str(results.with_name('confusion.png')))
    assert min(picture.shape[:2]) > 300 and picture.std() > 5


def test_a_wrapped_test_set_has_its_views_names_and_lists(data, tmp_path):
    folder, whole, _ = data
    header = dict(dataset='mine', split='other')
    write_annotations(folder / 'more.txt', Annotations(whole[:3], header))
    config = faulty_recipe(data, tmp_path / 'two', 'list.txt')
    one = config['test_dataloader']['dataset']
    config['test_dataloader']['dataset'] = both = dict(
        type='ConcatDataset',
        datasets=[one, dict(type='RepeatDataset', dataset=one, times=1)],
    )
    config['test_views'] = '2x1'
    found = results_of(config)
    assert found['clips'] == 2 * len(whole)
    assert found['views'] == dict(form='2x1', clips=2, crops=1)
    assert found['annotations'] == path_and_hash(folder / 'list.txt')
    assert found['dataset'] == dict(dataset='mine', split='paper')
    assert found['per_class'][3]['label_name'] == 'down it goes'
    both['datasets'][1] = dict(one, ann_file='more.txt')
    config['experiment_name'] = 'several'
    config['work_dir'] = str(tmp_path / 'several')
    found = results_of(config)
    lists = [
        path_and_hash(folder / f'{name}.txt') for name in ('list', 'more')
    ]
    assert found['annotations'].pop('files') == lists
    assert found['annotations'].pop('path') == 'list.txt + more.txt'
    assert len(found['annotations'].pop('sha256')) == 64
    assert found['dataset'] == dict(dataset='mine')
    assert found['split'] == 'not stated'


@pytest.mark.parametrize(
    ('shape', 'crop', 'form'),
    [
        ((8, 3, 32, 32), 'CenterCrop', '1x1'),
        ((24, 3, 32, 32), 'ThreeCrop', '1x3'),
        ((80, 3, 32, 32), 'mmaction.TenCrop', '1x10'),
        ((3, 8, 32, 32), 'CenterCrop', '1x1'),  # CTHW
        ((3, 3, 8, 32, 32), 'ThreeCrop', '1x3'),
        ((5, 3, 8, 32, 32), 'FiveCrop', '1x5'),
    ],
)
def test_views_do_not_depend_on_the_format(shape, crop, form):
    steps = [
        dict(type='UniformSample', clip_len=8, num_clips=1),
        dict(type=crop, crop_size=32),
    ]
    dataset = dict(type='RepeatDataset', dataset=dict(pipeline=steps))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    inputs = [torch.zeros(shape)]
    assert views_of(inputs, cfg)['form'] == form
    assert views_of(dict(imgs=inputs), cfg)['form'] == form


def test_without_a_header_the_split_is_not_stated(data, tmp_path):
    folder, whole, _ = data
    write_annotations(folder / 'plain.txt', Annotations(whole))
    found = results_of(faulty_recipe(data, tmp_path, 'plain.txt'))
    assert found['split'] == 'not stated' and found['dataset'] == {}


@pytest.mark.parametrize(
    ('text', 'name'),
    [('left\nright\nup\ndown\n\n \n', 'down'), ('left\nright\nup', None)],
)
def test_classes_of_another_number_are_numbered(data, tmp_path, text, name):
    folder, whole, _ = data
    clips = [(f'{folder}/{clip}', label) for clip, label in whole]
    write_annotations(tmp_path / 'list.txt', Annotations(clips))
    (tmp_path / 'classes.txt').write_text(text)
    config = faulty_recipe(data, tmp_path, str(tmp_path / 'list.txt'))
    found = results_of(config)
    assert found['per_class'][3].get('label_name') == name
    (log,) = tmp_path.glob('*/*.log')
    text, warning = log.read_text(), 'has 3 names but the model has 4 classes'
    assert (warning in text) == (name is None)
    if name is None:  # before the test
        assert text.index(warning) < text.index('Epoch(test)')
    assert len(list(tmp_path.glob('*/confusion.png'))) == 1


def test_400_classes_take_a_line_per_class_of_the_confusion_matrix():
    rng = np.random.default_rng(0)
    results = dict(
        confusion_matrix=rng.integers(0, 50, (400, 400)).tolist(),
        per_class=[dict(label=i, clips=50, top1=0.5) for i in range(400)],
        clips=20_000,
    )
    text = format_results(results)
    assert json.loads(text) == results
    assert len(text) < 1_000_000 and text.count('\n') < 3_000
    assert format_results(dict(clips=1)) == '{\n "clips": 1\n}\n'


def test_several_labels_have_results_and_no_figure(data, tmp_path):
    folder, whole, _ = data
    lines = [f'{name} {label} {(label + 1) % 4}' for name, label in whole]
    (folder / 'several.txt').write_text('\n'.join(lines))
    config = faulty_recipe(data, tmp_path, 'several.txt')
    config['test_dataloader']['dataset']['multi_class'] = True
    found = results_of(config)
    assert 0 < found['mean_average_precision'] <= 1
    assert len(found['per_class']) == 4
    assert 'label_name' in found['per_class'][0]
    assert not list(tmp_path.glob('*/confusion.png'))
