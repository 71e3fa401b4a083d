"""Times and memory of models: what the numbers mean."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dvfl_mmaction.analysis.benchmark import Measurement, quantile

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
