"""Write a checkpoint whole or not at all."""

import contextlib
import json
import os
import pickle
import pickletools
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import UserError
from .safe_loading import SAFETENSORS_META


class ConcisePickle:
    """A pickle module that writes only the memo entries that are used.

    Unused entries are a third of what torch writes about tensors. Without
    them, a converted file is no larger than the released one, although its
    names are longer.
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
    """Write weights to a temporary file, then rename it.

    Args:
        path: The file; the suffix ``.safetensors`` selects that format.
        weights: Weights by name.
        key: The key of the weights in the file; unused in safetensors.
        meta: Plain values and tensors that describe the weights; in
            safetensors tensors become lists.

    Raises:
        UserError: If the file cannot be written.
    """
    path = Path(path)
    weights = {name: compact(value) for name, value in weights.items()}
    # torch repeats the stem in the name of every record: keep it short.
    part = path.with_name(f'w.part{uuid4().hex[:8]}')
    try:
        if path.suffix == '.safetensors':
            text = json.dumps(meta, default=Tensor.tolist)
            metadata = {'format': 'pt', SAFETENSORS_META: text}
            save_file(weights, part, metadata)
            part.chmod(0o666 & ~current_umask())  # save_file sets 0600
        else:
            torch.save(
                {key: weights, 'meta': meta},
                str(part),
                pickle_module=ConcisePickle,
            )
        os.replace(part, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f'{path} cannot be written ({write_failure(error)}); give a path '
            'in a writable folder with free space'
        ) from error
    finally:
        # In a read-only folder there is no file, and unlink() fails.
        with contextlib.suppress(OSError):
            part.unlink()


def write_failure(error: Exception) -> str:
    """Reason why a file was not written, without torch's source location."""
    text = str(getattr(error, 'strerror', None) or error)
    if 'unexpected pos' in text:
        return 'truncated: the disk is full, or a file size limit is reached'
    return text.rpartition('strerror: ')[2]


def current_umask() -> int:
    """Permissions that are withheld from new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def compact(value: Tensor) -> Tensor:
    """Copy a tensor that is a view of a larger one or is not contiguous."""
    value = value.detach()
    own = value.numel() * value.element_size()
    if value.is_contiguous() and value.untyped_storage().nbytes() == own:
        return value
    return value.clone(memory_format=torch.contiguous_format)
