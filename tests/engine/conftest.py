"""Clips for the tests of this folder."""

import pytest
from small_recipe import write_dataset


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """12 clips of 4 classes."""
    return write_dataset(tmp_path_factory.mktemp('clips'))
