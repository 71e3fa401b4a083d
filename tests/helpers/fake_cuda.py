"""A CUDA device without a GPU: devices and waits are checked, not values.

Under :func:`fake_cuda` tensors have a device and a shape and no content. An
operation on tensors of two devices raises, and so does reading a value of
a device tensor on the host (``.item()``, ``float()``, ``if tensor:``).
Under :class:`Waits` such reads, and copies that the host waits for, are
counted.
"""

import copy
from contextlib import contextmanager

import torch
from mmaction.models.utils import CutmixBlending
from torch import Tensor
from torch._subclasses.fake_tensor import (
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.distributions import Beta
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device('cuda:0')
aten = torch.ops.aten


class IndexWithOperators(TorchFunctionMode):
    """Replaces ``tensor[...]``, which asks a build for CPUs for a GPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is Tensor.__getitem__ and on_device(args[0]):
            return index(*args)
        if function is Tensor.__setitem__ and on_device(args[0]):
            tensor, keys, values = args
            torch.add(index(tensor, keys), values)  # checks, nothing to keep
            return None
        return function(*args, **(kwargs or {}))


def on_device(tensor) -> bool:
    return tensor.device.type == 'cuda'


def index(tensor: Tensor, keys) -> Tensor:
    """``tensor[keys]``; with at most one index tensor."""
    keys = keys if isinstance(keys, tuple) else (keys,)
    if Ellipsis in [k for k in keys if not torch.is_tensor(k)]:
        at = [k is Ellipsis for k in keys].index(True)
        taken = sum(k is not None for k in keys) - 1
        missing = tensor.dim() - taken
        keys = keys[:at] + (slice(None),) * missing + keys[at + 1 :]
    dim = 0
    for key in keys:
        if key is None:
            tensor = tensor.unsqueeze(dim)
        elif torch.is_tensor(key) and key.dim():
            tensor = aten.index(tensor, [None] * dim + [key])
        elif isinstance(key, slice):
            with unset_fake_temporarily():  # bounds may be tensors
                start, stop, step = key.indices(tensor.size(dim))
            tensor = aten.slice(tensor, dim, start, max(start, stop), step)
        else:
            tensor = tensor.select(dim, int(key))
            continue
        dim += 1
    return tensor


class Waits(TorchDispatchMode):
    """Counts what the host waits for the device for, under fake_cuda.

    Attributes:
        found: Names of operations, in order: ``read`` of a scalar, ``copy``
            to the host or, unless ``non_blocking``, from it, ``index`` of a
            device tensor by a host tensor.
    """

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is aten._local_scalar_dense.default and on_device(args[0]):
            self.found.append('read')
            return 0
        if function is aten._to_copy.default:
            source, target = args[0], kwargs.get('device')
            if target is not None and on_device(source) != (
                torch.device(target).type == 'cuda'
            ):
                if on_device(source):
                    self.found.append('copy')
                    with unset_fake_temporarily():  # values to read
                        return torch.zeros(source.shape, dtype=source.dtype)
                if not kwargs.get('non_blocking'):
                    self.found.append('copy')
        if function is aten.index.Tensor and on_device(args[0]):
            hosts = [k for k in args[1] if k is not None and not on_device(k)]
            self.found += ['index'] * len(hosts)
        return function(*args, **kwargs)


@contextmanager
def fake_cuda():
    """Context in which :data:`DEVICE` exists; yields the fake mode."""
    # Draws on the host, whose values may be read there.
    sample, box = Beta.sample, CutmixBlending.rand_bbox

    def sample_on_host(self, *args):
        with unset_fake_temporarily():
            return sample(self, *args)

    def box_on_host(*args):
        with unset_fake_temporarily():
            return box(*args)

    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    Beta.sample = sample_on_host
    CutmixBlending.rand_bbox = staticmethod(box_on_host)
    try:
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        # A build for CPUs cannot record gradients of such tensors.
        with mode, IndexWithOperators(), torch.no_grad():
            yield mode
    finally:
        Beta.sample = sample
        CutmixBlending.rand_bbox = staticmethod(box)
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)


def to_fake_cuda(model, mode: FakeTensorMode):
    """A copy of a model on :data:`DEVICE`."""
    with unset_fake_temporarily():
        model = copy.deepcopy(model)
    model._apply(lambda t: mode.from_tensor(t).to(DEVICE))
    for module in model.modules():
        if hasattr(module, '_device'):  # MMEngine's data preprocessor
            module._device = DEVICE
    return model
