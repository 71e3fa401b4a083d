"""Counts, times and memory of models: what the numbers mean."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from dvfl_mmaction.analysis.benchmark import Measurement, quantile
from dvfl_mmaction.analysis.benchmark_report import markdown
from dvfl_mmaction.analysis.complexity import complexity
from dvfl_mmaction.analysis.configs import load_config
from dvfl_mmaction.errors import UserError

ROOT = Path(__file__).parents[2]


def test_a_config_counts_what_the_papers_count():
    found = complexity(load_config(str(ROOT / 'configs/vflnet_kd_ucf101.py')))
    assert found.shape == (1, 3, 8, 224, 224)
    assert found.macs / 1e9 == pytest.approx(27.1, rel=0.005)
    assert found.parameters / 1e6 == pytest.approx(22.2, rel=0.005)
    more = complexity(load_config(str(ROOT / 'configs/vflnet_k400.py')), 101)
    assert more == found


def test_a_layer_is_counted_by_hand(tmp_path):
    (tmp_path / 'linear.py').write_text(
        "model = dict(type='Recognizer3D',\n"
        "  backbone=dict(type='VideoFocalNet', out_indices=(0,),\n"
        '    arch=dict(embed_dim=4, depths=(1,))),\n'
        "  cls_head=dict(type='I3DHead', in_channels=4, num_classes=3),\n"
        "  data_preprocessor=dict(type='ActionDataPreprocessor',\n"
        "    format_shape='NCTHW'))\n"
        "val_pipeline = [dict(type='UniformSample', clip_len=2),\n"
        "  dict(type='ClipDecode'), dict(type='Resize', scale=(32, 32),\n"
        "  keep_ratio=False), dict(type='FormatShape',\n"
        "  input_format='NCTHW'), dict(type='PackActionInputs')]\n"
        "custom_imports = dict(imports=['dvfl_mmaction'])\n"
    )
    found = complexity(load_config(str(tmp_path / 'linear.py')))
    # At each of 2 x 8 x 8 positions: the patch, 4 x 4 x 3 values to 4.
    patch = 48 * 4
    # f to 2 C + 3, depthwise 3 x 3 and 5 x 5, h.
    space = 4 * 11 + (9 + 25) * 4 + 4 * 4
    # f_temporal to C + 3, dense 3 and 5, h_temporal; proj; MLP of ratio 4.
    along_time = 4 * 7 + (3 + 5) * 4 * 4 + 4 * 4
    rest = 4 * 4 + 2 * 4 * 16
    # Once per clip: the head, 4 to 3.
    assert found.macs == 128 * (patch + space + along_time + rest) + 4 * 3
    assert found.shape == (1, 3, 2, 32, 32)


def test_a_config_without_a_recognizer_is_rejected(tmp_path):
    (tmp_path / 'other.py').write_text("model = dict(type='Mimic')\n")
    with pytest.raises(UserError, match='no model with a backbone'):
        load_config(str(tmp_path / 'other.py'))
    with pytest.raises(UserError, match='absent.py not found'):
        load_config(str(tmp_path / 'absent.py'))


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


def test_the_tool_measures_and_writes_three_files(tmp_path):
    words = [sys.executable, str(ROOT / 'tools/benchmark.py'), '--to', 'out']
    words += ['--dataset', 'demo', '--models', 'vflnet_kd']
    words += ['--forwards', '2', '--steps', '2']
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / 'out/benchmark.json').read_text())
    names = [m['name'] for m in results['models']]
    assert names == ['DVFL-Net, teacher online', 'DVFL-Net, teacher recorded']
    for model in results['models']:
        assert len(model['forward_s']) == len(model['step_s']) == 2
        assert model['inference_bytes'] > 4 * model['parameters']
        assert '/' not in model['config']
    text = (tmp_path / 'out/benchmark.md').read_text()
    assert text == markdown(results) + '\n' and text in done.stdout + '\n'
    assert cv2.imread(str(tmp_path / 'out/benchmark.png')).std() > 5


@pytest.mark.parametrize(
    ('options', 'status', 'message'),
    [
        (['--peer', 'absent.py'], 1, 'error: absent.py not found'),
        (['--forwards', '0'], 2, '--forwards 0; give 1 or more'),
    ],
)
def test_the_tool_rejects_wrong_options(tmp_path, options, status, message):
    words = [sys.executable, str(ROOT / 'tools/benchmark.py'), '--to', 'out']
    words += ['--dataset', 'demo', '--models', 'vflnet', *options]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr
