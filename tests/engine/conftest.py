"""Clips and a teacher that the tests of this folder train on."""

import pytest
from small_recipe import write_dataset, write_teacher


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Twelve clips of four classes."""
    return write_dataset(tmp_path_factory.mktemp('clips'))


@pytest.fixture
def teacher(tmp_path):
    return write_teacher(tmp_path / 'teacher.pth')
