"""Preserve the state of the global random generators."""

import random
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def preserve_rng_state(cuda: bool = True):
    """Restore the generators of Python, NumPy and PyTorch on exit.

    Args:
        cuda: Also those of the CUDA devices. Use False in a data loader's
            worker, which must not touch a device.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=None if cuda else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
