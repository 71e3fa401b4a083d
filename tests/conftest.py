"""MMAction2's scope and fixed random seeds for every test."""

import random

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

import dvfl_mmaction  # noqa: F401, repairs mmaction before a test imports it


@pytest.fixture(autouse=True)
def fixed_seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def mmaction_scope():
    """Like ``default_scope = 'mmaction'`` in a config."""
    init_default_scope('mmaction')
