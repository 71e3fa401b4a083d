"""Clips, teachers and students for the tests of this folder."""

from types import SimpleNamespace

import pytest
from mmaction.registry import MODELS
from mmengine.logging import MMLogger
from recorded_runs import distillation, kd_losses
from small_recipe import distiller, run, write_dataset, write_teacher


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """10 clips, so that the last batch of an epoch has 2 clips, not 4."""
    folder = write_dataset(tmp_path_factory.mktemp('clips'))
    lines = (folder / 'list.txt').read_text().splitlines()[:10]
    (folder / 'list.txt').write_text('\n'.join(lines) + '\n')
    return folder


@pytest.fixture
def teacher(tmp_path):
    """The config of a teacher; a test may change it."""
    return write_teacher(tmp_path / 'teacher.pth')


@pytest.fixture(scope='session')
def recordings(data, tmp_path_factory):
    """A teacher's recordings, and the losses of a run with the teacher.

    Recordings in float32 and float16 are in the folders of these names, the
    weights of the run without recording in ``plain_run``.
    """
    folder = tmp_path_factory.mktemp('recordings')
    teacher = write_teacher(folder / 'teacher.pth')
    runs = {}
    for dtype in ('float32', 'float16'):
        recording = teacher | dict(
            record_to=str(folder / dtype), record_dtype=dtype
        )
        runs[dtype] = run(
            distillation(data, folder / f'{dtype}_run', recording)
        )
    plain = run(distillation(data, folder / 'plain_run', teacher))
    losses = kd_losses(plain)
    assert losses.tolist() == kd_losses(runs['float32']).tolist()
    return SimpleNamespace(folder=folder, teacher=teacher, losses=losses)


@pytest.fixture
def build():
    """A function that builds a student and its teacher from a config."""

    def build_student(config):
        model = MODELS.build(config)
        model.init_weights()
        return model

    return build_student


@pytest.fixture
def student(teacher, build):
    return build(distiller(teacher))


@pytest.fixture
def log(caplog):
    """Records of MMEngine's logger."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
