"""Forms of a model side by side: labels, names and libraries."""

from types import SimpleNamespace

import cv2
import pytest
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_clip, write_teacher

from dvfl_mmaction.analysis import process_memory
from dvfl_mmaction.analysis.deployed_benchmark import (
    check_all_labels,
    run_deployed_benchmark,
)
from dvfl_mmaction.analysis.deployed_entries import make_entries, peer_entry
from dvfl_mmaction.analysis.deployed_models import (
    EAGER,
    EXPORTED,
    DeployedEntry,
    DeployedModel,
)
from dvfl_mmaction.analysis.deployed_report import draw
from dvfl_mmaction.analysis.prediction.clips import Clip
from dvfl_mmaction.analysis.process_memory import import_runtime
from dvfl_mmaction.errors import UserError


def form(name, num_classes, several=False, meaningful=True):
    """What the check of labels reads of a form."""
    return SimpleNamespace(
        entry=SimpleNamespace(name=name),
        predictor=SimpleNamespace(
            num_classes=num_classes, several_labels=several
        ),
        meaningful=meaningful,
    )


def test_labels_that_a_form_lacks_are_refused():
    names = ('a.mp4', 'b.mp4', 'c.mp4')
    labels = (0, None, 4)
    clips = [Clip(None, *pair) for pair in zip(names, labels, strict=True)]
    check_all_labels([form('eager', 5), form('peer', 9)], clips)
    # Random weights give no answers.
    check_all_labels([form('eager', 5), form('peer', 2, False, False)], clips)
    for models, name in (
        ([form('eager', 4)], 'eager'),
        ([form('eager', 5), form('peer', 4)], 'peer'),
        ([form('eager', 4, True)], 'eager'),
    ):
        message = f'{name}: c.mp4 has the label 4 but the model has 4 classes'
        with pytest.raises(UserError, match=message):
            check_all_labels(models, clips)
    several = [Clip(None, 'a.mp4', (0, 4))]
    with pytest.raises(UserError, match='eager: a.mp4 has several labels'):
        check_all_labels([form('eager', 5)], several)
    # Nothing is compared with several labels.
    check_all_labels([form('eager', 5, True), form('peer', 4)], several)


def test_labels_are_checked_before_the_timing(tmp_path):
    write_clip(tmp_path / 'a.mp4', 0)
    write_teacher(tmp_path / 'clip.pth', config=recognizer())
    config = recipe(recognizer(), tmp_path, tmp_path / 'work')
    Config(config).dump(str(tmp_path / 'clip.py'))
    (tmp_path / 'out').mkdir()
    names = (str(tmp_path / name) for name in ('clip.py', 'clip.pth'))
    entries, lines = make_entries(*names, bf16=False)[:1], []
    clips = [Clip(tmp_path / 'a.mp4', 'a.mp4', 4)]
    with pytest.raises(UserError, match='eager, fp32: a.mp4 has the label 4'):
        run_deployed_benchmark(
            entries, tmp_path / 'out', clips, (1,), 1, False, lines.append
        )
    assert len(lines) == 1 and 'loaded' in lines[0]
    assert not list((tmp_path / 'out').iterdir())


def test_names_with_dollar_signs_are_drawn(tmp_path):
    times = dict(latency_ms=1.0, latency_p95_ms=2.0)
    row = dict(name='a$\\b$.onnx', file_bytes=1e6, threads={'1': times})
    results = dict(machine=dict(processor='$\\c$'), rows=[row])
    draw(results, tmp_path / 'figure.png')
    assert cv2.imread(str(tmp_path / 'figure.png')).std() > 5


@pytest.mark.parametrize(
    'suffix, name',
    [
        ('onnx', 'onnxruntime'),
        ('tflite', 'ai_edge_litert.interpreter'),
        ('pt2', None),
    ],
)
def test_the_runtime_of_a_file_is_a_library(monkeypatch, suffix, name):
    imported = []
    monkeypatch.setattr(
        process_memory.importlib, 'import_module', imported.append
    )
    import_runtime(DeployedEntry('a', EXPORTED, path=f'a.{suffix}'))
    import_runtime(DeployedEntry('a', EAGER, 'a.py'))
    assert imported == [name] * bool(name)


@pytest.mark.parametrize(
    ('text', 'config', 'checkpoint'),
    [
        ('a/x.py', 'a/x.py', None),
        ('x.py:a/w.pth', 'x.py', 'a/w.pth'),
        ('C:\\x.py:D:\\w.pth', 'C:\\x.py', 'D:\\w.pth'),
        ('C:\\x.y.yaml', 'C:\\x.y.yaml', None),
        ('x.py:https://host/w.pth', 'x.py', 'https://host/w.pth'),
    ],
)
def test_a_peer_is_a_config_with_or_without_weights(text, config, checkpoint):
    entry = peer_entry(text)
    assert (entry.config, entry.checkpoint) == (config, checkpoint)


@pytest.mark.parametrize('text', ['w.pth', 'x.py:', 'x:w.pth', ''])
def test_what_is_no_peer_is_refused(text):
    with pytest.raises(UserError, match='is not CONFIG or CONFIG:CHECKPOINT'):
        peer_entry(text)


def test_the_clip_that_is_timed_has_the_size_of_the_test(tmp_path):
    config = Config(recipe(recognizer(), tmp_path, tmp_path / 'work'))
    config.test_dataloader.dataset.pipeline[3].scale = (48, 40)
    config.dump(str(tmp_path / 'larger.py'))
    model = object.__new__(DeployedModel)
    model.entry = DeployedEntry('eager', EAGER, str(tmp_path / 'larger.py'))
    model.unit = 'clip'
    model.use_sample(None)
    assert model.sample['inputs'].shape == (1, 3, 4, 40, 48)
