"""The tool that counts multiply-adds and parameters, run by a user."""

import json
from pathlib import Path

from warm_process import run_script

ROOT = Path(__file__).parents[2]


def run_tool(*words):
    return run_script(ROOT / 'tools/complexity.py', *words)


def test_the_tool_prints_the_counts_as_json():
    config = ROOT / 'configs/vflnet_kd_demo.py'
    done = run_tool(config, '--json')
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)[str(config)]
    assert counts == dict(
        parameters=981042, macs=25120640, shape=[1, 3, 8, 32, 32]
    )


def test_an_absent_config_is_reported_in_one_line():
    done = run_tool('absent.py')
    assert done.returncode == 1
    assert done.stderr.strip() == (
        'error: absent.py not found; give a config file'
    )


def test_a_head_without_classes_is_refused():
    done = run_tool('absent.py', '--num-classes', '0')
    assert done.returncode == 2
    assert '--num-classes 0; give 1 or more' in done.stderr
