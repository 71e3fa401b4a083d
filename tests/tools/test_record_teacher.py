"""The tool that records a teacher; see also the tests of RecordingLoop."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from warm_process import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'record_teacher.py'


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('absent.py', 'absent.py was not found'),
        ('plain.py', 'has no teacher to record'),
        ('no_model.py', 'no_model.py has no teacher to record'),
        ('several.py', 'has 2 teachers but a recording is of one'),
    ],
)
def test_the_tool_reports_wrong_configs(tmp_path, config, message):
    (tmp_path / 'plain.py').write_text("model = dict(type='Recognizer3D')\n")
    (tmp_path / 'no_model.py').write_text('lr = 1\n')
    (tmp_path / 'several.py').write_text('model = dict(teacher=[{}, {}])\n')
    done = run_script(TOOL, config, '--to', 'rec', cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: ') and message in line
    assert not (tmp_path / 'rec').exists()


def test_the_student_of_a_recording_needs_no_pretrained_weights():
    tool = runpy.run_path(str(TOOL))
    cfg = tool['recording_config'](
        SimpleNamespace(
            config=str(TOOL.parents[1] / 'configs' / 'vflnet_kd_ucf101.py'),
            cfg_options=None,
            to='recording',
            dtype='float16',
            top_k=None,
            launcher='none',
            work_dir=None,
        )
    )
    assert cfg.model.backbone.pretrained is None
    assert cfg.model.teacher.record_to == 'recording'
