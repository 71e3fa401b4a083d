"""Models with several labels per clip: a probability per class."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import run_script

from dvfl_mmaction.analysis.deployed_benchmark import run_deployed_benchmark
from dvfl_mmaction.analysis.deployed_entries import make_entries
from dvfl_mmaction.analysis.prediction.batches import ClipReader
from dvfl_mmaction.analysis.prediction.clips import find_clips
from dvfl_mmaction.analysis.prediction.exported import load_exported_predictor
from dvfl_mmaction.analysis.prediction.predictor import (
    load_checkpoint_predictor,
    load_recognizer,
    predicted_scores,
)
from dvfl_mmaction.analysis.prediction.run import Outputs, run_prediction
from dvfl_mmaction.deployment.export import export_model, load_source
from dvfl_mmaction.deployment.live.frames import Frame
from dvfl_mmaction.deployment.live.load import load_from_checkpoint
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.project_paths import PACKAGE

TOOL = PACKAGE.parent / 'tools' / 'predict.py'
VIEWS = dict(test_views='2x1')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Clips, ``clip`` and ``causal`` as configs and weights, ``clip.pt2``."""
    folder = tmp_path_factory.mktemp('several')
    init_default_scope('mmaction')
    data = write_dataset(folder / 'clips', clips_per_class=1)
    for name in ('clip', 'causal'):
        model = recognizer()
        if name == 'causal':
            model['backbone'] |= dict(temporal='causal', temporal_window=4)
        model['cls_head'] |= dict(
            multi_class=True,
            loss_cls=dict(type='BCELossWithLogits'),
            average_clips='score',
        )
        write_teacher(folder / f'{name}.pth', config=model)
        checkpoint = torch.load(folder / f'{name}.pth', weights_only=True)
        # Two classes are likely in every clip.
        bias = checkpoint['state_dict']['cls_head.fc_cls.bias']
        bias += torch.tensor([3.0, 2.0, -2.0, -3.0])
        torch.save(checkpoint, folder / f'{name}.pth')
        config = recipe(model, data, folder / 'work')
        Config(config).dump(str(folder / f'{name}.py'))
    source = load_source(*paths(folder, 'clip'))
    export_model(source, folder / 'clip.pt2', 'torch-export')
    return folder


def paths(folder, name):
    return str(folder / f'{name}.py'), str(folder / f'{name}.pth')


@pytest.fixture
def clips(folder):
    return find_clips([str(folder / 'clips' / 'list.txt')])


def sigmoids(folder, clips, name='clip', **options):
    """Sigmoids of the logits that are averaged over the views, (B, K)."""
    loaded = load_recognizer(*paths(folder, name), options=options)
    loaded.model.cls_head.average_clips = None
    predictor = load_checkpoint_predictor(
        *paths(folder, name), options=options
    )
    reader = ClipReader(clips, predictor)
    samples = [reader[i][1] for i in range(len(clips))]
    logits = predicted_scores(loaded.model, samples)
    logits = logits.reshape(len(clips), -1, logits.shape[-1])
    return samples, logits.mean(1).sigmoid()


@pytest.mark.parametrize('averaging', [None, 'prob', 'score'])
def test_a_checkpoint_gives_a_sigmoid_per_class(folder, clips, averaging):
    options = VIEWS | {'model.cls_head.average_clips': averaging}
    samples, wanted = sigmoids(folder, clips, **VIEWS)
    predictor = load_checkpoint_predictor(
        *paths(folder, 'clip'), options=options
    )
    found = predictor.score(samples)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    assert (found.sum(1) - 1).abs().min() > 0.1  # no softmax
    assert predictor.several_labels


def test_an_exported_file_gives_the_same(folder, clips):
    samples, wanted = sigmoids(folder, clips, **VIEWS)
    predictor = load_exported_predictor(
        str(folder / 'clip.pt2'), options=VIEWS
    )
    assert samples[0]['inputs'].shape[0] == 2 and predictor.several_labels
    torch.testing.assert_close(
        predictor.score(samples), wanted, rtol=0, atol=1e-5
    )


def test_a_stream_gives_a_sigmoid_per_class(folder, clips):
    (sample,), (wanted,) = sigmoids(folder, clips[:1], 'causal')
    classifier = load_from_checkpoint(*paths(folder, 'causal'))
    images = sample['inputs'][0].permute(1, 2, 3, 0).numpy()
    for index, image in enumerate(images):
        frame = Frame(index, index / 25, image, 0.0, not index)
        scores = classifier.classify(classifier.push(frame))
    np.testing.assert_allclose(scores, wanted, atol=1e-5)


@pytest.mark.parametrize('labels', ['0', '0 3'])
def test_the_tool_does_not_compare_the_labels_of_a_list(folder, labels):
    names = sorted(path.name for path in (folder / 'clips').glob('*.mp4'))
    given = folder / f'labels{len(labels)}.txt'
    given.write_text(''.join(f'clips/{name} {labels}\n' for name in names))
    written = folder / f'p{len(labels)}.json'
    words = [TOOL, 'clip.py', 'clip.pth', given, '--json', written]
    done = run_script(*words, '--sheet', 'sheet.png', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert 'the model predicts several labels per clip, so' in done.stderr
    assert not any(text in done.stdout for text in ('top-1', '✓', '✗'))
    written = json.loads(written.read_text())
    assert written['accuracy'] is None
    assert len(written['clips']) == len(names) > 0
    assert not any('label' in clip for clip in written['clips'])


def test_a_benchmark_has_an_agreement_but_no_accuracy(folder, clips, tmp_path):
    entries = make_entries(
        *paths(folder, 'clip'), [str(folder / 'clip.pt2')], bf16=False
    )
    results = run_deployed_benchmark(
        [entries[0], entries[-1]],
        tmp_path,
        clips,
        threads=(1,),
        rounds=1,
        memory=False,
        report=lambda line: None,
    )
    for row in results['rows']:
        assert row['answers'] == dict(clips=4, agreement=1)


def test_a_journal_with_probabilities_of_a_softmax_is_refused(
    folder, clips, tmp_path
):
    predictor = load_checkpoint_predictor(*paths(folder, 'clip'))
    outputs = Outputs(json=tmp_path / 'p.json')
    del predictor.settings['probabilities']
    run_prediction(predictor, clips[:1], outputs)
    predictor = load_checkpoint_predictor(*paths(folder, 'clip'))
    with pytest.raises(UserError, match='its probabilities is None, but'):
        run_prediction(predictor, clips[:1], outputs)
