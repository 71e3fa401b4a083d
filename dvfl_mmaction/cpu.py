"""Distributed and mixed-precision training on CPUs, for those who ask.

MMEngine sets a CUDA device whenever a launcher is used, and its
``AmpOptimWrapper`` wants a GPU. A config that names this module gets both
on CPUs::

    custom_imports = dict(
        imports=['dvfl_mmaction', 'dvfl_mmaction.cpu'],
        allow_failed_imports=False)
    optim_wrapper = dict(type='CPUAmpOptimWrapper')
    model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=False)

``model_wrapper_cfg`` is needed with ``--launcher pytorch`` only: without it
MMEngine gives the model to the CUDA device of that number. Leave out
``optim_wrapper``'s type to train in fp32, and leave out ``--amp``.

Where CUDA is there, importing this module starts nothing.
"""

import os
from contextlib import contextmanager

import torch
from mmaction.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from torch import distributed

TORCHRUN_VARIABLES = (
    'RANK',
    'LOCAL_RANK',
    'WORLD_SIZE',
    'MASTER_ADDR',
    'MASTER_PORT',
)


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Run the forward pass under the CPU's bfloat16 autocast.

    bfloat16 has the range of fp32, so there is no gradient scaler and the
    state is that of a plain ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model):
        """Enter autocast, and what the plain wrapper enters."""
        with (
            super().optim_context(model),
            torch.autocast('cpu', dtype=torch.bfloat16),
        ):
            yield


def start_gloo() -> bool:
    """Start a gloo process group where torchrun has started this process.

    MMEngine's runner keeps a group that exists. Nothing is started where
    CUDA is available, where a group exists, or without a launcher.

    Returns:
        Whether a group was started.
    """
    if (
        torch.cuda.is_available()
        or not distributed.is_available()
        or distributed.is_initialized()
        or any(name not in os.environ for name in TORCHRUN_VARIABLES)
    ):
        return False
    distributed.init_process_group('gloo')
    return True


start_gloo()
