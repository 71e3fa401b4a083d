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


def recording_config(path, dtype=None, top_k=None):
    """What the tool makes of a config."""
    return runpy.run_path(str(TOOL))['recording_config'](
        SimpleNamespace(
            config=str(path),
            cfg_options=None,
            to='recording',
            dtype=dtype,
            top_k=top_k,
            launcher='none',
            work_dir=None,
        )
    )


def test_a_config_may_have_no_hooks(tmp_path):
    path = tmp_path / 'kd.py'
    path.write_text(
        "model = dict(backbone={}, teacher=dict(checkpoint='t.pth'))\n"
        'train_cfg = dict(max_epochs=1)\n'
    )
    hooks = recording_config(path).default_hooks
    assert hooks == dict(checkpoint=None, param_scheduler=None)


def test_the_student_of_a_recording_needs_no_pretrained_weights():
    path = TOOL.parents[1] / 'configs' / 'vflnet_kd_ucf101.py'
    cfg = recording_config(path)
    assert cfg.model.backbone.pretrained is None
    assert cfg.model.teacher.record_to == 'recording'


@pytest.mark.parametrize(
    ('given', 'wanted'),
    [
        ({}, ('float32', 20)),
        (dict(dtype='float16'), ('float16', 20)),
        (dict(top_k=5), ('float32', 5)),
    ],
)
def test_what_is_not_given_stays_as_the_config_has_it(tmp_path, given, wanted):
    path = tmp_path / 'kd.py'
    path.write_text(
        "teacher = dict(checkpoint='t', record_dtype='float32', "
        'record_top_k=20)\n'
        'model = dict(backbone={}, teacher=teacher)\n'
        'train_cfg = dict(max_epochs=1)\n'
    )
    teacher = recording_config(path, **given).model.teacher
    assert (teacher.record_dtype, teacher.record_top_k) == wanted
