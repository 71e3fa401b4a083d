"""Logged scalars that stay on the device until something reads them."""

import functools
from collections import defaultdict
from collections.abc import Sequence

import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.optim import OptimWrapper
from torch import Tensor

MAX_UNREAD = 1000  # values per name, so that they never fill the memory


class DeferredMessageHub(MessageHub):
    """A message hub that reads logged tensors only when they are asked for.

    MMEngine's hub reads each tensor when it arrives, and the host then
    waits for the device several times per iteration. This one keeps copies
    on the device. Whatever reads a scalar, such as the logger at its
    interval, a checkpoint or a hook, first has all of them read, in one copy
    per data type. Values, their order and their counts are those of
    MMEngine's hub.
    """

    def __init__(self, name: str, **kwargs):
        super().__init__(name, **kwargs)
        self._unread = defaultdict(list)  # name -> [(tensor, count)]

    def update_scalar(self, key, value, count=1, resumed=True):
        """Add a value, which may be a tensor of one element."""
        if not is_scalar(value) or not isinstance(count, int):
            self._read_if_unread(key)
            return super().update_scalar(key, value, count, resumed)
        self._set_resumed_keys(key, resumed)
        # Its place in the log is that of its first value.
        self._log_scalars.setdefault(key, HistoryBuffer())
        # A copy: the model may change the tensor in the next iteration.
        self._unread[key].append((value.detach().reshape(()).clone(), count))
        if len(self._unread[key]) >= MAX_UNREAD:
            self._read()

    @property
    def log_scalars(self):
        self._read()
        return super().log_scalars

    def get_scalar(self, key):
        # The timer reads its own name in every iteration.
        self._read_if_unread(key)
        if key in self._log_scalars:
            return self._log_scalars[key]
        return super().get_scalar(key)

    def state_dict(self):
        self._read()
        return super().state_dict()

    def load_state_dict(self, state_dict):
        self._read()
        if isinstance(state_dict, DeferredMessageHub):
            state_dict._read()
        super().load_state_dict(state_dict)

    def _read_if_unread(self, key: str):
        if key in self._unread:
            self._read()

    def _read(self):
        """Move all values to the host."""
        unread, self._unread = self._unread, defaultdict(list)
        parts = [(key, *part) for key, of in unread.items() for part in of]
        values = read_scalars([tensor for _, tensor, _ in parts])
        for (key, _, count), value in zip(parts, values, strict=True):
            if len(self._log_scalars[key].data[0]):
                self._log_scalars[key].update(value, count)
            else:  # the first value sets the data type
                self._log_scalars[key] = HistoryBuffer([value], [count])


# MMEngine finds hubs of both classes by their name.
DeferredMessageHub._instance_dict = MessageHub._instance_dict


def is_scalar(value) -> bool:
    """Whether a value is a tensor of one element, all of it on one device."""
    # A tensor that is split between devices has a mesh.
    whole = torch.is_tensor(value) and not hasattr(value, 'device_mesh')
    return whole and value.numel() == 1


def read_scalars(tensors: Sequence[Tensor]) -> list[int | float | bool]:
    """Read tensors without dimensions, in one copy per device and type."""
    groups = defaultdict(list)
    for i, tensor in enumerate(tensors):
        groups[tensor.device, tensor.dtype].append(i)
    values = [None] * len(tensors)
    for indices in groups.values():
        read = torch.stack([tensors[i] for i in indices]).cpu().tolist()
        for i, value in zip(indices, read, strict=True):
            values[i] = value
    return values


def defer_gradient_norm(wrapper: OptimWrapper):
    """Have an optimizer wrapper log the gradients' norm as a tensor.

    MMEngine reads what ``clip_func`` returns in every iteration. Nothing
    changes for a wrapper that clips no norm.
    """
    if not getattr(wrapper, 'clip_grad_kwargs', None):
        return
    clip = wrapper.clip_func

    @functools.wraps(clip)
    def clip_and_log(parameters, **kwargs):
        norm = clip(parameters, **kwargs)
        if not is_scalar(norm):
            return norm  # for MMEngine to log
        wrapper.message_hub.update_scalar(f'train/{wrapper.grad_name}', norm)
        return None

    wrapper.clip_func = clip_and_log
