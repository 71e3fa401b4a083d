"""Distributed and mixed-precision training on CPUs, on request.

MMEngine sets a CUDA device whenever a launcher is used, and its
``AmpOptimWrapper`` needs a GPU. A config that imports this module gets both
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

``model_wrapper_cfg`` is needed only with ``--launcher pytorch``: without it
MMEngine moves the model to the CUDA device of the process. Leave out
``optim_wrapper``'s type to train in fp32. Do not pass ``--amp``.

If CUDA is available, importing this module starts no process group.
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

    bfloat16 has the range of fp32, so no gradient scaler is needed, and the
    state is that of a plain ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model):
        """Enter autocast and the context of the plain wrapper."""
        with (
            super().optim_context(model),
            torch.autocast('cpu', dtype=torch.bfloat16),
        ):
            yield


def start_gloo() -> bool:
    """Start a gloo process group if torchrun started this process.

    MMEngine's runner keeps an existing group. Nothing is started if CUDA is
    available, if a group exists, or without a launcher.

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
