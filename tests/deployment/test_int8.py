"""int8 files keep the accuracy, or are not written."""

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import onnx
import openvino
import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.paired_comparison import compare_paired
from dvfl_mmaction.deployment import int8
from dvfl_mmaction.deployment.export import Agreement, export_model
from dvfl_mmaction.deployment.exported_model import (
    ExportedModel,
    load_exported,
)
from dvfl_mmaction.deployment.int8 import (
    Int8Options,
    Int8Result,
    export_int8,
    refusal,
)
from dvfl_mmaction.deployment.quantisation import (
    CalibrationInputs,
    kept_nodes,
)
from dvfl_mmaction.deployment.runtimes import Port
from dvfl_mmaction.deployment.writers import SUFFIXES


@pytest.mark.parametrize('target', ['onnx', 'openvino'])
def test_an_int8_file_has_its_test_in_its_metadata(
    tmp_path, tmp_path_factory, source, data, target
):
    path = tmp_path / f'model{SUFFIXES[target]}'
    lines = (data / 'list.txt').read_text().splitlines()[:4]
    training = tmp_path_factory.mktemp('lists') / 'train.txt'
    training.write_text('\n'.join([*lines, 'broken.mp4 0']))
    source = dataclasses.replace(source, cfg=copy.deepcopy(source.cfg))
    source.cfg.train_dataloader.dataset.ann_file = str(training)
    options = Int8Options(
        test_list=str(data / 'list.txt'), root=str(data), max_drop=100
    )
    result = export_int8(source, path, target, options)
    model = load_exported(path)
    assert model.metadata['precision'] == 'int8'
    tested = model.metadata['int8']
    assert (tested['clips'], tested['calibration_clips']) == (12, 4)
    assert tested['test_list'] == 'list.txt'
    if target == 'onnx':
        onnx.checker.check_model(path)
    assert tested['before'] == result.before
    assert tested['kept'] == []
    assert 0 < result.agreement.difference < 0.02
    # Products of 8 bits overflow on processors without VNNI.
    assert max(abs(w.astype(int)).max() for w in weights_of(path)) <= 64
    assert {p.suffix for p in tmp_path.iterdir()} <= {'.onnx', '.xml', '.bin'}


def weights_of(path):
    """The int8 matrices of a file."""
    if path.suffix == '.onnx':
        tensors = map(
            onnx.numpy_helper.to_array, onnx.load(path).graph.initializer
        )
    else:
        ops = openvino.Core().read_model(path).get_ops()
        tensors = [op.data for op in ops if op.get_type_name() == 'Constant']
    return [t for t in tensors if t.dtype == np.int8 and t.ndim == 2]


@pytest.mark.parametrize('target', ['onnx', 'openvino'])
def test_a_stream_is_quantised_with_the_states_of_clips(
    tmp_path, causal_source, target
):
    path = tmp_path / f'model{SUFFIXES[target]}'
    options = Int8Options(calibration_clips=2, max_drop=100)
    result = export_int8(causal_source, path, target, options, streaming=True)
    model = load_exported(path)
    assert (model.kind, model.metadata['precision']) == ('streaming', 'int8')
    assert 0 < result.agreement.difference < 0.02
    assert result.comparison.clips == 12


def test_inputs_of_a_stream_are_made_anew_for_each_reading(
    tmp_path, causal_source
):
    path = tmp_path / 'model.pt2'
    export_model(causal_source, path, 'torch-export', streaming=True)
    model = load_exported(path)
    clips = list(
        np.random.default_rng(0).integers(
            0, 256, (2, 1, 3, 32, 32, 3), np.uint8
        )
    )
    inputs = CalibrationInputs(model, clips)
    read = [[array.copy() for array in one] for one in inputs]
    assert len(read) == len(inputs) == 6
    state = model.initial_state(1)
    for clip, (frame, *before) in zip(
        np.repeat(clips, 3, 0), read, strict=True
    ):
        if before[0][0] == 0:
            state = model.initial_state(1)
        for array, wanted in zip(before, state, strict=True):
            np.testing.assert_allclose(array, wanted, atol=1e-6)
        assert (frame == clip[0, before[0][0]]).all()
        _, state = model.step(frame, state)
    for one, other in zip(inputs, read, strict=True):
        for array, wanted in zip(one, other, strict=True):
            np.testing.assert_allclose(array, wanted, atol=1e-6)


def test_a_file_that_may_lose_too_much_is_not_written(
    tmp_path, source, monkeypatch
):
    monkeypatch.setattr(int8, 'LADDER', ((), ('fc', 'gates')))
    options = Int8Options(calibration_clips=4)
    path, lines = tmp_path / 'model.onnx', []
    with pytest.raises(UserError, match='12 clips cannot resolve') as error:
        export_int8(source, path, 'onnx', options, report=lines.append)
    assert 'in float: fc, gates' in str(error.value)
    (line,) = lines
    assert line.startswith('loses too much: accuracy')
    assert 'in float' not in line
    assert not list(tmp_path.iterdir())
    options.force = True
    assert export_int8(source, path, 'onnx', options).kept == ()
    assert load_exported(path).metadata['int8']['kept'] == []


@pytest.mark.parametrize('dynamic', [(), ('size',)])
def test_clips_of_several_sizes_need_a_dynamic_size(
    tmp_path, source, monkeypatch, dynamic
):
    metadata = dict(kind='clip', classes=None, num_classes=4, clip_len=4)
    metadata |= dict(size=[32, 32], dynamic=dynamic)
    runtime = SimpleNamespace(inputs=[Port('frames', (1,), np.uint8)])
    path = tmp_path / 'model.onnx'
    model = ExportedModel(path, runtime, metadata)
    sizes = (32, 40, 32)
    clips = [np.zeros((1, 4, size, 32, 3), np.uint8) for size in sizes]
    compared = []

    def compare(source, model, frames=None):
        compared.append(frames)
        return Agreement(8, 0.0, 8)

    for name, value in dict(
        capture_graph=lambda *_: None,
        load_exported=lambda path: model,
        compare=compare,
        read_first_views=lambda *_: iter(clips),
        classify_correctly=lambda *_: np.ones(4, bool),
        FLOAT_MODELS=dict(onnx=lambda graph: None),
        QUANTISERS=dict(onnx=lambda model, inputs, kept: list(inputs)),
        SAVERS=dict(onnx=lambda model, file, metadata: file.touch()),
    ).items():
        monkeypatch.setattr(int8, name, value)
    options = Int8Options(max_drop=100)
    if not dynamic:
        with pytest.raises(UserError, match='are 40 x 32 pixels but .*model'):
            export_int8(source, path, 'onnx', options, dynamic)
        return
    export_int8(source, path, 'onnx', options, dynamic)
    assert compared[-1].shape == (2, 4, 32, 32, 3) and path.exists()


def test_the_refusal_says_how_many_clips_flip():
    before = np.ones(1000, bool)
    after = before.copy()
    after[:30] = False
    result = Int8Result(
        Agreement(8, 0.1, 8), 100.0, 97.0, compare_paired(after, before), ()
    )
    text = refusal(result, Int8Options())
    assert '100.00 -> 97.00 % of 1000 clips (0 gained, 30 lost)' in text
    assert 'longer list' not in text
    # As many are gained as lost, but they are few.
    before, after = np.array([[1, 0, 1, 1], [0, 1, 1, 1]], bool)
    result.comparison = compare_paired(after, before)
    assert '; 4 clips cannot resolve the difference; give a longer list' in (
        refusal(result, Int8Options())
    )


def test_layers_that_stay_in_float_are_found_by_name():
    names = [
        'stages.0.0.fc1/MatMul',
        'stages.0.0.space.h/MatMul',
        'stages.0.0.fc2/MatMul',
        'fc/Gemm/WithoutBiases',
        'stages.0.0.time.taps.0.1/MatMul',
    ]
    assert kept_nodes(names, ('fc', 'h')) == [names[1], names[3]]
    assert kept_nodes(names, ('taps',)) == [names[4]]
    assert kept_nodes(names, ()) == []
