"""Checkpoints, and the folder to run in, that these tests share."""

from pathlib import Path

import pytest
import torch
from small_recognizers import as_released, narrow


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    """Run in the checkout: configs are named relative to it."""
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.fixture
def canary(tmp_path):
    """A file that hostile calls would create; it must not appear."""
    path = tmp_path / 'canary'
    yield path
    assert not path.exists()


@pytest.fixture
def src(tmp_path):
    """A released checkpoint of a narrow network."""
    path = tmp_path / 'src.pth'
    torch.save({'model': as_released(narrow().state_dict())}, path)
    return path
