"""The tool that records a teacher; see also the tests of RecordingLoop."""

from pathlib import Path

import pytest
from warm_process import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'record_teacher.py'


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('absent.py', 'absent.py was not found'),
        ('plain.py', 'has no teacher to record'),
    ],
)
def test_the_tool_reports_wrong_configs(tmp_path, config, message):
    (tmp_path / 'plain.py').write_text("model = dict(type='Recognizer3D')\n")
    done = run_script(TOOL, config, '--to', 'rec', cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: ') and message in line
    assert not (tmp_path / 'rec').exists()
