"""Clips, batches, journal and reports of predictions."""

import csv
import json
import pickle
import shutil
from io import StringIO

import numpy as np
import pytest
import torch
from hostile_clips import write_broken
from mmaction.registry import MODELS
from mmengine.config import Config
from rich.console import Console
from small_recipe import (
    NUM_CLASSES,
    pipeline,
    recipe,
    recognizer,
    run,
    write_clip,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction.analysis.prediction import run as prediction_run
from dvfl_mmaction.analysis.prediction.batches import predict_clips
from dvfl_mmaction.analysis.prediction.clips import Clip, find_clips
from dvfl_mmaction.analysis.prediction.predictor import (
    load_checkpoint_predictor,
)
from dvfl_mmaction.analysis.prediction.report import Result, table_of
from dvfl_mmaction.analysis.prediction.run import Outputs, run_prediction
from dvfl_mmaction.errors import UserError

NAMES = ['nach rechts', 'налево', 'κάτω [bold]', 'up']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Eight labelled clips, and a config and checkpoint."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=2)
    write_teacher(folder / 'model.pth', config=recognizer())
    config = recipe(recognizer(), folder / 'clips', folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    (folder / 'names.txt').write_text('\n'.join(NAMES), encoding='utf-8')
    return folder


@pytest.fixture(scope='module')
def predictor(folder):
    return load_predictor(folder, classes=str(folder / 'names.txt'))


def load_predictor(folder, config='config.py', weights='model.pth', **kwargs):
    return load_checkpoint_predictor(
        str(folder / config), str(folder / weights), **kwargs
    )


@pytest.mark.parametrize('views', [None, '2x3'])
def test_scores_are_those_of_mim_test_dump(folder, tmp_path, views):
    config = Config.fromfile(folder / 'config.py').to_dict()
    options = {'test_views': views} if views else {}
    if views:
        steps = pipeline()
        steps[3] = dict(type='Resize', scale=(-1, 40))
        steps.insert(4, dict(type='CenterCrop', crop_size=32))
        config['test_dataloader']['dataset']['pipeline'] = steps
    Config(config).dump(str(tmp_path / 'views.py'))
    tested = Config.fromfile(tmp_path / 'views.py')
    tested.merge_from_dict(options)
    dump = dict(type='DumpResults', out_file_path=str(tmp_path / 'out.pkl'))
    tested.test_evaluator = [dict(type='ClipMetric'), dump]
    tested.load_from = str(folder / 'model.pth')
    tested.work_dir = str(tmp_path / 'work')
    run(tested, 'test')
    with open(tmp_path / 'out.pkl', 'rb') as file:
        dumped = [sample['pred_score'] for sample in pickle.load(file)]
    predictor = load_checkpoint_predictor(
        str(tmp_path / 'views.py'), str(folder / 'model.pth'), options=options
    )
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    found = list(predict_clips(clips, predictor, batch_size=3, workers=1))
    scores = np.stack([prediction.scores for prediction in found])
    assert len(np.unique(scores.round(4))) > NUM_CLASSES  # clips differ
    np.testing.assert_allclose(scores, np.stack(dumped), rtol=0, atol=1e-5)
    if views:
        assert found[0].inputs.shape == (6, 3, 4, 32, 32)


def test_clips_of_other_shapes_are_not_padded(folder, tmp_path):
    config = Config.fromfile(folder / 'config.py').to_dict()
    steps = pipeline()
    steps[3] = dict(type='Resize', scale=(-1, 32))
    config['test_dataloader']['dataset']['pipeline'] = steps
    Config(config).dump(str(tmp_path / 'config.py'))
    write_clip(tmp_path / 'wide.mp4', 0, width=96)
    write_clip(tmp_path / 'narrow.mp4', 0, width=48)
    clips = find_clips([str(tmp_path / '*.mp4')])
    predictor = load_checkpoint_predictor(
        str(tmp_path / 'config.py'), str(folder / 'model.pth')
    )
    together, alone = (
        np.stack([p.scores for p in predict_clips(clips, predictor, size)])
        for size in (2, 1)
    )
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_heads_that_do_not_average_probabilities_give_them(folder):
    clips = find_clips([str(folder / 'clips' / 'clip_0_0.mp4')])
    for averaging in (None, 'score', 'prob'):
        predictor = load_predictor(
            folder, options={'model.cls_head.average_clips': averaging}
        )
        (prediction,) = predict_clips(clips, predictor)
        assert prediction.scores.shape == (NUM_CLASSES,)
        assert prediction.scores.sum() == pytest.approx(1, abs=1e-5)


def test_json_and_csv_hold_the_predictions_by_name(
    folder, predictor, tmp_path
):
    outputs = Outputs(
        json=tmp_path / 'new' / 'p.json', csv=tmp_path / 'p.csv', top=3
    )
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    results, undrawn = run_prediction(predictor, clips, outputs, 4)
    assert not undrawn
    written = json.loads(outputs.json.read_text(encoding='utf-8'))
    assert [c['clip'] for c in written['clips']] == [c.name for c in clips]
    with open(outputs.csv, encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    for result, entry, row in zip(
        results, written['clips'], rows, strict=True
    ):
        order = np.argsort(-result.scores)[:3]
        assert entry['label'] == result.clip.label == int(row['label'])
        for place, (index, shown) in enumerate(
            zip(order, entry['predictions'], strict=True), 1
        ):
            assert shown['class'] == index == int(row[f'class_{place}'])
            assert shown['name'] == NAMES[index] == row[f'name_{place}']
            score = pytest.approx(result.scores[index], abs=1e-6)
            assert shown['probability'] == score
            assert float(row[f'probability_{place}']) == score
    right = sum(r.scores.argmax() == r.clip.label for r in results)
    assert written['accuracy']['top1'] == pytest.approx(right / len(clips))
    assert written['accuracy']['top5'] == 1
    assert 'налево' in outputs.json.read_text(encoding='utf-8')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['new', 'p.csv']


def test_the_table_is_as_wide_as_the_terminal_and_keeps_names(
    predictor, tmp_path
):
    scores = np.array([0.1, 0.2, 0.6, 0.1], np.float32)
    name = 'a/very/long/folder/' * 5 + 'ü.mp4'
    results = [
        Result(Clip(tmp_path, name, 2), scores),
        Result(Clip(tmp_path, 'b.mp4', 1), scores),
    ]
    console = Console(file=StringIO(), width=60)
    console.print(table_of(results, predictor, 2, 60))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 5 and max(map(len, lines)) <= 60
    assert lines[1].split()[0].startswith('…')
    assert lines[1].split()[0].endswith('ü.mp4')
    # Names are no markup.
    assert '✓ κάτω [bold]' in lines[1] and '60.0 %' in lines[1]
    assert 'налево' in lines[2] and '20.0 %' in lines[2]
    assert '✗ налево' in lines[3]


@pytest.fixture
def predicted(monkeypatch):
    """Names of the clips that are predicted, batch by batch."""
    names, real = [], prediction_run.predict_clips

    def recorded(clips, *args):
        names.append([clip.name for clip in clips])
        return real(clips, *args)

    monkeypatch.setattr(prediction_run, 'predict_clips', recorded)
    return names


def test_a_run_that_was_cut_resumes_after_the_whole_lines(
    folder, predictor, tmp_path, predicted
):
    outputs = Outputs(json=tmp_path / 'p.json')
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    run_prediction(predictor, clips, outputs, 4)
    whole = outputs.json.read_bytes()
    outputs.json.unlink()
    lines = outputs.journal.read_bytes().split(b'\n')
    # The settings, 4 clips, and half of the next one.
    cut = b'\n'.join([*lines[:5], lines[5][:30]])
    outputs.journal.write_bytes(cut)
    run_prediction(predictor, clips, outputs, 4)
    assert predicted[1] == [clip.name for clip in clips[4:]]
    assert outputs.json.read_bytes() == whole
    run_prediction(predictor, clips, outputs, 4)
    assert predicted[2] == []


def test_a_journal_with_other_ways_to_the_clips_resumes(
    folder, predictor, tmp_path, predicted
):
    outputs = Outputs(json=tmp_path / 'p.json')
    way = str(folder / 'clips' / '..' / 'clips' / 'clip_0_0.mp4')
    run_prediction(predictor, find_clips([way]), outputs)
    # Keys were not normal once.
    key = str(folder / 'clips' / 'clip_0_0.mp4')
    journal = outputs.journal.read_text()
    assert json.dumps(key) in journal
    run_prediction(predictor, find_clips([key]), outputs)
    outputs.journal.write_text(journal.replace(key, way))
    run_prediction(predictor, find_clips([way]), outputs)
    assert predicted == [[way], [], []]


def test_a_clip_that_has_changed_is_predicted_again(
    folder, predictor, tmp_path, predicted
):
    path = tmp_path / 'a.mp4'
    shutil.copy(folder / 'clips' / 'clip_0_0.mp4', path)
    outputs = Outputs(csv=tmp_path / 'p.csv')
    clips = find_clips([str(path)])
    (before,), _ = run_prediction(predictor, clips, outputs)
    shutil.copy(folder / 'clips' / 'clip_3_0.mp4', path)
    (after,), _ = run_prediction(predictor, clips, outputs)
    assert predicted == [[str(path)]] * 2
    assert not np.allclose(before.scores, after.scores)


def test_a_missing_picture_is_drawn_again(
    folder, predictor, tmp_path, predicted
):
    outputs = Outputs(folder=tmp_path)
    clips = find_clips([str(folder / 'clips' / 'clip_0_*.mp4')])
    run_prediction(predictor, clips, outputs)
    picture = tmp_path / 'clip_0_1.png'
    content = picture.read_bytes()
    picture.unlink()
    run_prediction(predictor, clips, outputs)
    assert predicted[1] == [clips[1].name]
    assert picture.read_bytes() == content
    # The picture shows other classes.
    run_prediction(predictor, clips, Outputs(folder=tmp_path, top=2))
    assert len(predicted[2]) == 2


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(options={'clip_len': 2}), 'pipeline'),
        (dict(weights='other.pth'), 'checkpoint'),
    ],
)
def test_a_journal_of_another_run_is_refused(
    folder, predictor, tmp_path, changes, named
):
    outputs = Outputs(json=tmp_path / 'p.json')
    clips = find_clips([str(folder / 'clips' / 'clip_0_0.mp4')])
    run_prediction(predictor, clips, outputs)
    write_teacher(folder / 'other.pth', seed=8, config=recognizer())
    other = load_predictor(folder, **changes)
    with pytest.raises(UserError, match=f'of another run: its {named} is'):
        run_prediction(other, clips, outputs)
    outputs.journal.unlink()
    run_prediction(other, clips, outputs)


def test_an_interrupted_run_says_how_to_resume(
    folder, predictor, tmp_path, monkeypatch
):
    outputs = Outputs(json=tmp_path / 'p.json')
    clips = find_clips([str(folder / 'clips' / 'list.txt')])
    real, calls = predictor.score, []

    def interrupted(samples):
        calls.append(len(samples))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(samples)

    monkeypatch.setattr(predictor, 'score', interrupted)
    with pytest.raises(KeyboardInterrupt, match='3 of 8 clips are kept in'):
        run_prediction(predictor, clips, outputs, 3)
    assert not outputs.json.exists()
    results, _ = run_prediction(predictor, clips, outputs, 8)
    assert calls == [3, 3, 5]
    assert all(result.scores is not None for result in results)
    del calls[1:]
    with pytest.raises(KeyboardInterrupt, match='nothing is kept without'):
        run_prediction(predictor, clips, Outputs(), 3)


def test_broken_clips_are_named_and_tried_again(
    folder, predictor, tmp_path, predicted
):
    (tmp_path / 'clips').mkdir()
    names = write_broken(tmp_path / 'clips')
    shutil.copy(folder / 'clips' / 'clip_0_0.mp4', tmp_path / 'clips')
    (tmp_path / 'clips' / 'list.txt').write_text(
        'absent.mp4\nclip_0_0.mp4\n' + '\n'.join(names)
    )
    outputs = Outputs(
        json=tmp_path / 'p.json',
        csv=tmp_path / 'p.csv',
        sheet=tmp_path / 'sheet.png',
    )
    clips = find_clips([str(tmp_path / 'clips' / 'list.txt')])
    run_prediction(predictor, clips, outputs, 2)
    written = json.loads(outputs.json.read_text())
    assert [c['clip'] for c in written['clips']] == ['clip_0_0.mp4']
    assert {b['clip'] for b in written['broken']} == {'absent.mp4', *names}
    reasons = {b['clip']: b['reason'] for b in written['broken']}
    assert reasons['absent.mp4'] == 'file not found'
    assert all(reasons.values())
    with open(outputs.csv, newline='') as file:
        errors = {r['clip']: r['error'] for r in csv.DictReader(file)}
    assert errors == reasons | {'clip_0_0.mp4': ''}
    assert outputs.sheet.is_file()
    run_prediction(predictor, clips, outputs, 2)
    assert set(predicted[1]) == {'absent.mp4', *names}


def test_outputs_that_cannot_be_written_are_found_first(tmp_path):
    (tmp_path / 'file').touch()
    for outputs in (
        Outputs(json=tmp_path / 'file' / 'p.json'),
        Outputs(csv=tmp_path),
        Outputs(folder=tmp_path / 'file'),
        Outputs(sheet=tmp_path / 'file' / 'sheet.png'),
    ):
        with pytest.raises(UserError, match='cannot be written: '):
            outputs.check()
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_class_names_come_from_file_checkpoint_or_data_set(folder, tmp_path):
    assert load_predictor(folder).class_names is None
    assert load_predictor(folder).name_of(2) == '2'
    checkpoint = torch.load(folder / 'model.pth', weights_only=True)
    checkpoint['meta'] = dict(dataset_meta=dict(classes=list('abcd')))
    torch.save(checkpoint, folder / 'named.pth')
    named = load_predictor(folder, weights='named.pth')
    assert named.class_names == list('abcd')
    meta = {'train_dataloader.dataset.metainfo': dict(classes=list('wxyz'))}
    assert load_predictor(folder, options=meta).name_of(0) == 'w'
    (tmp_path / 'five.txt').write_text('\n'.join('abcde'))
    with pytest.raises(UserError, match='5 names but the model has 4'):
        load_predictor(folder, classes=str(tmp_path / 'five.txt'))
    with pytest.raises(UserError, match='is not a list of class names'):
        load_predictor(folder, classes=str(tmp_path / 'absent.txt'))


def test_configs_and_checkpoints_that_do_not_fit_are_refused(folder, tmp_path):
    def refused(match, **kwargs):
        with pytest.raises(UserError, match=match):
            load_predictor(folder, **kwargs)

    refused('absent.pth was not found', weights='absent.pth')
    refused('absent.py not found', config='absent.py')
    refused(
        r'cls_head.fc_cls.bias is \(4,\), not \(7,\)',
        options={'model.cls_head.num_classes': 7},
    )
    refused('has no cls_head', options={'model.cls_head': None})
    refused("'clip_sise' is unknown", options={'clip_sise': 32})
    refused('--device cuda:99 cannot be used', device='cuda:99')
    frames = [
        dict(type='SampleFrames', clip_len=4),
        dict(type='RawFrameDecode'),
    ]
    refused(
        'no test pipeline that opens videos',
        options={'test_dataloader.dataset.pipeline': frames},
    )
    torch.save(MODELS.build(recognizer(width=4)).state_dict(), tmp_path / 'x')
    with pytest.raises(UserError, match='do not fit'):
        load_checkpoint_predictor(
            str(folder / 'config.py'), str(tmp_path / 'x')
        )
