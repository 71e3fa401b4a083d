"""Times and memory of models: what the numbers mean."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from small_recipe import RANDOM_PIPELINE, distiller, recognizer
from torch.autograd import DeviceType

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis import benchmark
from dvfl_mmaction.analysis.benchmark import Measurement, peak_bytes
from dvfl_mmaction.analysis.benchmark_report import draw, markdown
from dvfl_mmaction.analysis.comparison import compare, quantile
from dvfl_mmaction.analysis.released_formulation import as_released
from dvfl_mmaction.analysis.timed_model import (
    Entry,
    TimedModel,
    covered,
    device_intervals,
)

ROOT = Path(__file__).parents[2]


def test_summaries_are_medians_and_quantiles():
    assert quantile([1.0, 2.0, 4.0], 0.5) == 2
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3
    assert quantile([5.0], 0.95) == 5
    found = Measurement('m', 'c', 1, 2, (1,))
    found.forward_s = [0.3, 0.1, 0.2]
    found.step_s = [2.0, 1.0, 3.0]
    found.step_clips = 4
    found = found.summary()
    assert found['latency_ms'] == pytest.approx(200)
    assert found['latency_p95_ms'] == pytest.approx(290)
    assert found['clips_per_s'] == pytest.approx(5)
    assert found['step_quartiles_ms'] == [1500, 2500]
    assert found['ucf101_epoch_min'] == pytest.approx(2 / 4 * 9537 / 60)
    assert found['step_clips_per_s'] == pytest.approx(4 / 2)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """A distillation's config file, small enough to be timed in a test."""
    folder = tmp_path_factory.mktemp('configs')
    pipeline = RANDOM_PIPELINE[:5] + RANDOM_PIPELINE[6:]
    parts = dict(default_scope='mmaction', val_pipeline=pipeline)
    Config(dict(model=recognizer(width=12), **parts)).dump(folder / 'large.py')
    teacher = dict(config=str(folder / 'large.py'), checkpoint='-')
    student = distiller(teacher)
    Config(dict(model=student, **parts)).dump(folder / 'small.py')
    return str(folder / 'small.py')


@pytest.mark.parametrize('amp', [None, 'bfloat16'])
def test_both_formulations_are_timed_alike(config, amp):
    ours, theirs = (
        TimedModel(Entry('m', config, 'online', released), 2, 'cpu', amp)
        for released in (False, True)
    )
    weights = theirs.model.state_dict()
    for name, value in ours.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    kinds = [
        type(model.backbone).__name__
        for timed in (ours, theirs)
        for model in (timed.model, timed.model.teacher.model)
    ]
    assert kinds == ['VideoFocalNet', 'VideoFocalNet', 'PlainNet', 'PlainNet']
    dtypes = []
    for timed in (ours, theirs):
        timed.model.backbone.layers[0].blocks[0].mlp.register_forward_hook(
            lambda module, inputs, output: dtypes.append(output.dtype)
        )
        before = timed.model.cls_head.fc_cls.weight.clone()
        timed.forward()
        assert timed.timed(timed.step) > 0
        assert not torch.equal(before, timed.model.cls_head.fc_cls.weight)
        assert timed.busy(timed.step) > 0
    assert set(dtypes) == {torch.bfloat16 if amp else torch.float32}


def test_a_comparison_has_ratios_of_paired_rounds(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        benchmark,
        'peak_memory',
        lambda entry, *_: 300 if entry.released else 100,
    )
    threads = torch.get_num_threads()
    entries = [Entry('m', config, 'recorded', x) for x in (False, True)]
    results = benchmark.run_benchmark(
        entries, threads=threads, forwards=3, steps=3, report=lambda line: 0
    )
    ours, theirs = results['models']
    (found,) = results['comparisons']
    pairs = zip(theirs['step_s'], ours['step_s'], strict=True)
    assert found['step']['median'] == sorted(a / b for a, b in pairs)[1]
    low, high = found['step']['quartiles']
    assert low <= found['step']['median'] <= high
    assert found['training_bytes'] == found['inference_bytes'] == 3
    for model in results['models']:
        assert 0 < model['step_busy'] < 3 and 0 < model['forward_busy'] < 3
    text = markdown(results)
    assert '| m, released' in text and '3.00 / 3.00' in text
    draw(results, tmp_path / 'figure.png')
    assert compare([Measurement('m', 'c', 1, 2, (1,))]) == []


def test_other_backbones_have_no_released_formulation():
    for wrong, message in (
        (dict(type='ResNet3d'), 'has no ResNet3d;'),
        (dict(type='VideoFocalNet', tubelet_size=2), 'with tubelet_size;'),
    ):
        with pytest.raises(UserError, match=message):
            as_released(wrong, None)


def test_busy_time_counts_overlapping_kernels_once():
    def event(start, end, device=DeviceType.CUDA, annotation=False):
        return SimpleNamespace(
            time_range=SimpleNamespace(start=start, end=end),
            device_type=device,
            is_user_annotation=annotation,
        )

    events = [
        event(10, 20),
        event(0, 4),
        event(12, 15),
        event(18, 25),
        event(0, 100, annotation=True),
        event(0, 100, DeviceType.CPU),
    ]
    assert covered(device_intervals(events)) == 4 + 15
    assert covered([]) == 0


def test_macos_counts_bytes_and_linux_units_of_1024(monkeypatch):
    for platform, wanted in (('linux', 3072), ('darwin', 3)):
        monkeypatch.setattr(sys, 'platform', platform)
        assert peak_bytes(SimpleNamespace(ru_maxrss=3)) == wanted


def test_peak_memory_excludes_the_parent_process(tmp_path):
    large = bytearray(300_000_000)  # of the parent
    large[::4096] = b'x' * len(large[::4096])
    code = (
        'from dvfl_mmaction.analysis.benchmark import resident_peak\n'
        'before = resident_peak()\n'
        "block = b'x' * 50_000_000\n"
        'print(resident_peak() - before)\n'
    )
    env = os.environ | dict(PYTHONPATH=str(ROOT))
    output = subprocess.check_output(
        [sys.executable, '-c', code], env=env, text=True
    )
    assert 45e6 < int(output.split()[-1]) < 60e6
