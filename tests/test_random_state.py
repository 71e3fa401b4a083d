"""The random generators are restored."""

import random

import numpy as np
import torch

from dvfl_mmaction.random_state import preserve_rng_state


def draw():
    return random.random(), np.random.rand(), torch.rand(2).tolist()


def test_random_state_is_restored():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    with preserve_rng_state():
        draw()
    assert draw() == expected
