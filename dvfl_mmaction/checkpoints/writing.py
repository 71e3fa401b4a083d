"""Write a checkpoint whole or not at all."""

import contextlib
import json
import os
import pickle
import pickletools
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import UserError
from .safe_loading import SAFETENSORS_META


class ConcisePickle:
    """A pickle module that keeps only the references that are used.

    Unused ones are a third of what torch writes about tensors. Without them
    the names, which are longer than the released ones, do not make a file
    of weights grow.
    """

    class Pickler(pickle.Pickler):
        def __init__(self, file, protocol):
            super().__init__(file, protocol)
            self.file = file

        def dump(self, obj):
            super().dump(obj)
            concise = pickletools.optimize(self.file.getvalue())
            self.file.seek(0)
            self.file.truncate()
            self.file.write(concise)


def write_checkpoint(path, weights: dict[str, Tensor], key: str, meta: dict):
    """Write weights to a temporary name, then rename.

    Args:
        path: What to write; with the suffix ``.safetensors`` in that format.
        weights: By name.
        key: The key to put them under; safetensors has none.
        meta: Plain values, about the weights.

    Raises:
        UserError: If the folder is not there or cannot be written to.
    """
    path = Path(path)
    weights = {name: compact(value) for name, value in weights.items()}
    # torch puts the stem into the name of every record: keep it short.
    part = path.with_name(f'w.part{os.getpid()}')
    try:
        if path.suffix == '.safetensors':
            about = {'format': 'pt', SAFETENSORS_META: json.dumps(meta)}
            save_file(weights, part, about)
            part.chmod(0o666 & ~current_umask())  # it has left 0600
        else:
            torch.save(
                {key: weights, 'meta': meta},
                str(part),
                pickle_module=ConcisePickle,
            )
        os.replace(part, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f'{path} cannot be written ({explain(error)}); give a place in a '
            'folder that can be written to and has room'
        ) from error
    finally:
        # A folder that nothing can be written to has nothing to remove, and
        # says so with an error of its own.
        with contextlib.suppress(OSError):
            part.unlink()


def explain(error: Exception) -> str:
    """Why a file could not be written, without where in torch it failed."""
    text = str(getattr(error, 'strerror', None) or error)
    if 'unexpected pos' in text:
        return 'it was cut short: the disk, or a limit of file size, is full'
    return text.rpartition('strerror: ')[2]


def current_umask() -> int:
    """Permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def compact(value: Tensor) -> Tensor:
    """Copy a view of something larger, or one that is not contiguous."""
    value = value.detach()
    own = value.numel() * value.element_size()
    if value.is_contiguous() and value.untyped_storage().nbytes() == own:
        return value
    return value.clone(memory_format=torch.contiguous_format)
