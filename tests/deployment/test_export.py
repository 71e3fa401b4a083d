"""Exported files predict what the checkpoint does, and describe themselves."""

import copy
import dataclasses
import io
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.prediction.clips import Clip
from dvfl_mmaction.deployment import export, writers
from dvfl_mmaction.deployment.export import (
    eager_probabilities,
    export_model,
)
from dvfl_mmaction.deployment.exported_model import (
    ExportedModel,
    load_exported,
)
from dvfl_mmaction.deployment.extras import import_extra
from dvfl_mmaction.deployment.listed_clips import (
    classify_correctly,
    find_listed_clips,
)
from dvfl_mmaction.deployment.streaming import make_streaming
from dvfl_mmaction.deployment.writers import (
    SUFFIXES,
    files_of,
    whole_export,
)
from dvfl_mmaction.files import hash_file

TARGETS = ('onnx', 'openvino', 'torch-export')
DYNAMIC = ['batch', 'frames', 'size']


@pytest.fixture(scope='module')
def models(tmp_path_factory, source):
    """One file per format; all axes of that of ONNX are dynamic."""
    folder, found = tmp_path_factory.mktemp('files'), {}
    for target in TARGETS:
        path = folder / f'model{SUFFIXES[target]}'
        dynamic = DYNAMIC if target == 'onnx' else []
        agreement = export_model(source, path, target, dynamic=dynamic)
        assert agreement.difference < 1e-6
        assert agreement.same == agreement.clips
        found[target] = load_exported(path, threads=1)
    return found


def clips(*shape):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (*shape, 32, 32, 3), np.uint8)


@pytest.mark.parametrize('target', TARGETS)
def test_a_file_predicts_what_the_checkpoint_does(models, source, target):
    frames = clips(3, 4)
    wanted = eager_probabilities(source.recognizer, frames)
    got = models[target].predict(frames)
    assert got.dtype == np.float32
    assert wanted.std() > 0.05
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize('target', TARGETS)
def test_a_file_describes_itself(models, source, target):
    model = models[target]
    assert model.kind == 'clip'
    assert model.classes == ['left', 'right', 'up', 'down']
    assert (model.clip_len, model.size) == (4, (32, 32))
    metadata = model.metadata
    assert metadata['mean'] == [123.675, 116.28, 103.53]
    assert metadata['licence'] == 'apache-2.0'
    assert metadata['accuracy'] == dict(top1=87.5, clips=40)
    assert metadata['checkpoint']['sha256'] == hash_file(source.checkpoint)
    sampling = metadata['pipeline'][1]
    assert (sampling['type'], sampling['clip_len']) == ('UniformSample', 4)


def test_the_pipeline_of_a_file_reads_a_list(models, source):
    listed = find_listed_clips(source.cfg, 'test')
    correct = classify_correctly(listed, models['torch-export'])
    again = classify_correctly(listed, models['onnx'])
    assert len(correct) == 12
    assert (correct == again).all()
    # NaN is no answer, not even to clips of class 0.
    nan = copy.copy(models['onnx'])
    nan.predict = lambda frames: np.full((len(frames), 4), np.nan, np.float32)
    assert not classify_correctly(listed, nan).any()
    listed[3] = Clip(listed[3].path, 'unknown.mp4')
    with pytest.raises(UserError, match='unknown.mp4 has no label; give a l'):
        classify_correctly(listed, models['onnx'])


@pytest.mark.parametrize('target', TARGETS)
def test_other_lengths_and_sizes_of_dynamic_axes(
    models, source, tmp_path, target
):
    model = models[target]
    if not model.metadata['dynamic']:
        path = tmp_path / f'model{SUFFIXES[target]}'
        export_model(source, path, target, dynamic=DYNAMIC)
        model = load_exported(path, threads=1)
    assert model.metadata['dynamic'] == DYNAMIC
    rng = np.random.default_rng(0)
    # torch.export keeps 2 positions in the last of two stages.
    least = 16 if target == 'torch-export' else 8
    assert (model.min_size, model.tubelet_size) == (least, 1)
    for shape in (
        (2, 4, 32, 32, 3),
        (1, 7, 48, 80, 3),
        (3, 1, 33, 32, 3),
        (1, 4, least, least, 3),
    ):
        frames = rng.integers(0, 256, shape, np.uint8)
        wanted = eager_probabilities(source.recognizer, frames)
        np.testing.assert_allclose(
            model.predict(frames), wanted, atol=1e-6, err_msg=str(shape)
        )
    for size in ((least - 1, 32), (32, least - 1)):
        message = f'are {size[0]} x {size[1]} .* takes {least} or more per'
        with pytest.raises(UserError, match=message):
            model.predict(np.zeros((1, 4, *size, 3), np.uint8))
    if target == 'torch-export':
        older = ExportedModel(
            model.path, model._runtime, model.metadata | dict(min_size=1)
        )
        with pytest.raises(UserError, match='does not fit the file .*size'):
            older.predict(np.zeros((1, 4, 8, 8, 3), np.uint8))


@pytest.mark.parametrize('target', TARGETS)
def test_a_file_of_the_least_size_takes_larger_frames(
    source, tmp_path, target
):
    small = dataclasses.replace(source, size=(8, 8), clip_len=1)
    path = tmp_path / f'model{SUFFIXES[target]}'
    if target == 'torch-export':
        with pytest.raises(UserError, match='8 x 8 .* take 16 or more per'):
            export_model(small, path, target, dynamic=['size'])
        return
    export_model(small, path, target, dynamic=DYNAMIC)
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, 40, 17, 3))
    frames = frames.astype(np.uint8)
    wanted = eager_probabilities(source.recognizer, frames)
    got = load_exported(path).predict(frames)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_files_without_a_least_size_are_read(models):
    model = models['onnx']
    metadata = dict(model.metadata)
    del metadata['min_size'], metadata['tubelet_size']
    older = ExportedModel(model.path, model._runtime, metadata)
    assert (older.min_size, older.tubelet_size) == (1, 1)
    frames = clips(1, 3)
    assert (older.predict(frames) == model.predict(frames)).all()


def test_clips_that_are_no_multiple_of_the_tubelets_are_refused(models):
    model = models['onnx']
    metadata = model.metadata | dict(tubelet_size=2)
    tubelets = ExportedModel(model.path, model._runtime, metadata)
    with pytest.raises(UserError, match='have 3 frames .* multiples of 2'):
        tubelets.predict(clips(1, 3))


def test_a_list_of_a_config_is_read_with_its_delimiter(source, tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('a b.mp4,2\nc.mp4,-1\n')
    cfg = copy.deepcopy(source.cfg)
    cfg.test_dataloader.dataset.update(
        ann_file=str(path), delimiter=',', data_prefix=dict(video='videos')
    )
    root = Path(cfg.test_dataloader.dataset.get('data_root') or '')
    assert find_listed_clips(cfg, 'test') == [
        Clip(root / 'videos' / 'a b.mp4', 'a b.mp4', 2),
        Clip(root / 'videos' / 'c.mp4', 'c.mp4', None),
    ]


@pytest.mark.parametrize(
    'frames, message',
    [
        (clips(1, 5), 'clips have 5 frames'),
        (clips(1, 4)[..., :16, :], 'are 32 x 16 pixels'),
        (clips(1, 4).astype(np.float32), 'takes uint8'),
        (clips(4), 'takes uint8'),
        (clips(1, 4).tolist(), '32, 3.* list; .* takes uint8'),
    ],
)
def test_frames_that_do_not_fit_are_refused(models, frames, message):
    with pytest.raises(UserError, match=message):
        models['openvino'].predict(frames)


def test_a_clip_model_has_no_state(models):
    with pytest.raises(UserError, match='takes whole clips'):
        models['onnx'].initial_state(1)


@pytest.mark.parametrize('target', ['onnx', 'openvino'])
def test_a_streaming_file_has_its_state_as_inputs_and_outputs(
    tmp_path, causal_source, target
):
    path = tmp_path / f'stream{SUFFIXES[target]}'
    dynamic = ['batch'] if target == 'onnx' else []
    export_model(causal_source, path, target, 'fp32', dynamic, True)
    model = load_exported(path, threads=1)
    assert model.kind == 'streaming'
    recognizer, frames = causal_source.recognizer, clips(2, 7)
    stream = make_streaming(recognizer)
    state, previous = model.initial_state(2), stream.initial_state(2, 32, 32)
    preprocessor = recognizer.data_preprocessor
    for t in range(7):
        kept = [array.copy() for array in state]
        got, after = model.step(frames[:, t], state)
        for old, now in zip(kept, state, strict=True):
            assert np.array_equal(old, now)
        x = torch.from_numpy(frames[:, t]).permute(0, 3, 1, 2)
        x = (x - preprocessor.mean[:, 0]) / preprocessor.std[:, 0]
        with torch.no_grad():
            scores, previous = stream(x, previous)
        wanted = scores.softmax(-1).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        state = after
    np.testing.assert_allclose(model.predict(frames), wanted, atol=1e-6)
    if target == 'onnx':
        graph = onnx.load(path).graph
        names = [port.name for port in graph.input]
        assert names[:2] == ['frame', 'state_0']
        assert graph.output[1].name == 'next_state_0'


def test_a_file_that_differs_is_not_written(tmp_path, source, monkeypatch):
    monkeypatch.setitem(export.TOLERANCES, 'fp32', -1.0)
    with pytest.raises(UserError, match='differs from the recognizer'):
        export_model(source, tmp_path / 'a.pt2', 'torch-export')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('target', TARGETS)
@pytest.mark.parametrize('fails', ['load_exported', 'compare'])
def test_a_failed_export_keeps_the_earlier_files(
    tmp_path, source, monkeypatch, target, fails
):
    path = tmp_path / f'model{SUFFIXES[target]}'
    for file in files_of(path):
        file.write_text(f'earlier {file.name}')

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(export, fails, fail)
    with pytest.raises(KeyboardInterrupt):
        export_model(source, path, target)
    assert sorted(tmp_path.iterdir()) == sorted(files_of(path))
    for file in files_of(path):
        assert file.read_text() == f'earlier {file.name}'


@pytest.mark.parametrize('there', [True, False])
@pytest.mark.parametrize('name', ['model.xml', 'model.tflite'])
def test_an_interrupt_leaves_no_pair_of_an_old_and_a_new_file(
    tmp_path, monkeypatch, name, there
):
    path, replace, calls = tmp_path / name, os.replace, []
    earlier = files_of(path) if there else []
    for file in earlier:
        file.write_text('earlier')

    def interrupted(*paths):
        calls.append(paths)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr(writers.os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt), whole_export(path) as part:
        for file in files_of(part):
            file.write_text('new')
    assert calls[0][1] == files_of(path)[-1]  # the main file comes last
    assert sorted(tmp_path.iterdir()) == sorted(earlier)
    assert all(file.read_text() == 'earlier' for file in earlier)
    monkeypatch.undo()
    with whole_export(path) as part:
        for file in files_of(part):
            file.write_text('new')
    assert sorted(tmp_path.iterdir()) == sorted(files_of(path))
    assert all(file.read_text() == 'new' for file in files_of(path))


@pytest.mark.parametrize(
    'name, arguments, message',
    [
        ('a.onnx', ('openvino',), 'openvino files end in .xml'),
        ('a.onnx', ('onnx', 'bf16'), 'onnx files have no bf16'),
        ('no/a.onnx', ('onnx',), 'folder .* was not found'),
        ('a.onnx', ('onnx', 'fp32', ['time']), "dynamic axis 'time'"),
        ('a.onnx', ('onnx', 'fp32', [], True), "temporal='global'"),
        (
            'a.tflite',
            ('litert', 'fp32', ['batch', 'size']),
            '--dynamic batch,size was given, but litert files take the shape',
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path, source, name, arguments, message
):
    with pytest.raises(UserError, match=message):
        export_model(source, tmp_path / name, *arguments)
    assert not list(tmp_path.iterdir())


def test_another_backbone_is_refused_in_one_line(tmp_path, source):
    other = torch.nn.Module()
    other.backbone = torch.nn.Identity()
    with pytest.raises(UserError, match='backbone Identity; only VideoFocal'):
        export_model(
            dataclasses.replace(source, recognizer=other),
            tmp_path / 'a.onnx',
            'onnx',
        )


@pytest.mark.parametrize(
    'axes, streaming, message',
    [(['frames'], False, 'unrolled'), (['size'], True, 'only batch')],
)
def test_axes_that_a_causal_model_fixes_are_refused(
    tmp_path, causal_source, axes, streaming, message
):
    path = tmp_path / 'a.onnx'
    with pytest.raises(UserError, match=message):
        export_model(causal_source, path, 'onnx', 'fp32', axes, streaming)


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('a.onnx', None, 'was not found'),
        ('a.pth', b'', 'is no exported model'),
        ('a.onnx', b'rubbish', 'cannot be read'),
    ],
)
def test_files_that_are_no_exported_model_are_refused(
    tmp_path, name, content, message
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_exported(tmp_path / name)


def test_an_onnx_file_of_another_program_is_refused(tmp_path, models):
    model = onnx.load(models['onnx'].path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / 'plain.onnx')
    with pytest.raises(UserError, match='has no metadata of dvfl_mmaction'):
        load_exported(tmp_path / 'plain.onnx')


def test_a_missing_extra_is_one_line():
    with pytest.raises(UserError) as error:
        import_extra('absent_runtime.part')
    assert str(error.value) == (
        'absent_runtime is not installed; run: '
        "pip install 'dvfl_mmaction[export]'"
    )


def test_the_old_exporter_writes_a_backbone_that_onnx_runtime_takes(source):
    backbone, file = source.recognizer.backbone, io.BytesIO()
    x = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        torch.onnx.export(backbone, (x,), file, dynamo=False)
        wanted = backbone(x).numpy()
    session = onnxruntime.InferenceSession(file.getvalue())
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, wanted, atol=1e-5)
