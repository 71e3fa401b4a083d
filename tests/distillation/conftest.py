"""Clips, teachers and students that the tests of this folder share."""

import pytest
from mmaction.registry import MODELS
from mmengine.logging import MMLogger
from small_recipe import distiller, write_dataset, write_teacher


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """10 clips, so that an epoch's last batch of 4 has 2."""
    folder = write_dataset(tmp_path_factory.mktemp('clips'))
    lines = (folder / 'list.txt').read_text().splitlines()[:10]
    (folder / 'list.txt').write_text('\n'.join(lines) + '\n')
    return folder


@pytest.fixture
def teacher(tmp_path):
    """A teacher's config, which the test may change."""
    return write_teacher(tmp_path / 'teacher.pth')


@pytest.fixture
def build():
    """Build a student and its teacher from their config."""

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
    """What MMEngine's logger receives."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
