"""Borrow the global random generators and give them back."""

import random
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def preserve_rng_state(cuda: bool = True):
    """Leave the generators of Python, NumPy and PyTorch as they were.

    Args:
        cuda: Also those of the CUDA devices; not in a data loader's worker,
            which must not touch a device.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=None if cuda else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
