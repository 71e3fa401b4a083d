"""The tool that compares speed and memory, run by a user."""

import json
from pathlib import Path

import cv2
import pytest
import torch
from warm_process import run_script

from dvfl_mmaction.analysis.benchmark_report import markdown

ROOT = Path(__file__).parents[2]


def test_the_tool_measures_and_writes_three_files(tmp_path):
    words = [ROOT / 'tools/benchmark.py', '--to', 'out']
    words += ['--dataset', 'demo', '--models', 'vflnet_kd']
    words += ['--forwards', '2', '--steps', '2']
    done = run_script(*words, cwd=tmp_path)
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
        pytest.param(
            ['--device', 'cuda'],
            1,
            'error: no CUDA device found',
            marks=pytest.mark.skipif(
                torch.cuda.is_available(), reason='finds a CUDA device'
            ),
        ),
        (['--forwards', '0'], 2, '--forwards 0; give 1 or more'),
        (['--amp', 'fp16'], 2, '--amp fp16 needs --device cuda'),
    ],
)
def test_the_tool_rejects_wrong_options(tmp_path, options, status, message):
    words = [ROOT / 'tools/benchmark.py', '--to', 'out']
    words += ['--dataset', 'demo', '--models', 'vflnet', *options]
    done = run_script(*words, cwd=tmp_path)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr
