"""Precision and repeatability of products on a GPU, set by the config."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from torch import backends

from ..errors import UserError

# cuBLAS takes it from the environment: the buffers of its workspace.
WORKSPACE, FIXED = 'CUBLAS_WORKSPACE_CONFIG', ':4096:8'


def check_tf32(cfg: dict):
    """Reject a ``tf32`` that is neither True, False nor None."""
    tf32 = cfg.get('tf32')
    if tf32 not in (None, True, False):
        raise UserError(
            f'tf32 is {tf32!r}; give True, False, or leave it out for '
            "PyTorch's setting: convolutions use TF32, matrix products do not"
        )


def fix_workspace(cfg: dict):
    """Have cuBLAS repeat its results if the config asks for determinism.

    PyTorch raises an error in the first product otherwise. A value in the
    environment is kept.
    """
    if (cfg.get('randomness') or {}).get('deterministic'):
        os.environ.setdefault(WORKSPACE, FIXED)


@contextmanager
def tf32_products(allowed: bool | None) -> Iterator[None]:
    """Allow or forbid TF32 in float32 products, and restore it at the end.

    Args:
        allowed: For convolutions and matrix products on a GPU; None keeps
            the settings.
    """
    if allowed is None:
        yield
        return
    before = backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32
    backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32 = before
