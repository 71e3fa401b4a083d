"""Read checkpoints without running code from them.

``weights_only`` is on for every file. A file that cannot be read is reported
in one line: the file, the fault, and the remedy.
"""

import contextlib
import functools
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import SafetensorError, safe_open

from ..errors import UserError
from ..files import kind_of_special_file
from ..shared_context import SharedContext
from .safe_globals import stand_ins_allowed
from .unsafe_names import unsafe_names

# The key of this project's metadata, JSON, in a safetensors file.
SAFETENSORS_META = 'dvfl_mmaction'
ARCHIVE = b'PK\x03\x04'  # the first bytes of a file of torch.save
# Parts of torch's errors, and what to report instead: torch itself advises
# to turn weights_only off.
FAULTS = {
    'TorchScript': 'it is a TorchScript program',
    'legacy .tar': 'torch.save does not write archives of this kind',
    'Unsupported operand': 'torch.save does not write files of this kind',
}


class CheckpointError(UserError):
    """A file cannot be read as a checkpoint."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint names code that an unsafe load would run."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """A checkpoint was not found."""


def load_checkpoint_file(path, mmap=False) -> dict:
    """Load a checkpoint onto the CPU without running code from it.

    Args:
        path: A file, or a URL that MMEngine can read.
        mmap: As for :func:`load_from_local`; requires a local file.

    Raises:
        CheckpointError: If the file is missing, damaged, not a checkpoint,
            or holds code.
    """
    if mmap:
        return load_from_local(path, 'cpu', mmap=True)
    with safe_loaders:
        return CheckpointLoader.load_checkpoint(
            os.fspath(path), map_location='cpu', logger='silent'
        )


def load_from_local(filename, map_location=None, mmap=False) -> dict:
    """Load a local file; the safe version of MMEngine's function.

    Args:
        filename: Path of a torch or safetensors file; ``~`` is expanded.
        map_location: As for :func:`torch.load`.
        mmap: Map the file instead of reading it, if its format allows it.

    Raises:
        CheckpointError: As for :func:`load_checkpoint_file`.
    """
    path = Path(filename).expanduser()
    _check_content(path)
    if _is_safetensors(path):
        return _load_safetensors(path, map_location)
    with stand_ins_allowed, warnings.catch_warnings():
        # The error reports these.
        warnings.filterwarnings('ignore', 'Detected pickle protocol')
        warnings.filterwarnings('ignore', '.*looks like a TorchScript')
        try:
            checkpoint = torch.load(
                path,
                map_location=map_location,
                weights_only=True,
                mmap=mmap and _begins(path) == ARCHIVE,
            )
        except pickle.UnpicklingError as error:
            names = unsafe_names(str(error), path)
            if not names:
                raise _unreadable(path, error) from None
            if _ends_within(path, names[0]):
                raise _unreadable(path, 'it is truncated') from None
            raise _unsafe(path, names) from None
        except (OSError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a damaged file may raise any error
            if 'Attempting to deserialize' in str(error):
                raise  # the file is sound, its device is absent
            raise _unreadable(path, error) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{path} holds a {type(checkpoint).__name__}, not a checkpoint; '
            'wanted: a dict of weights, or a dict with weights under '
            'state_dict; give a file that a training run saved'
        )
    _check_tensors(path, checkpoint)
    return checkpoint


def _is_safetensors(path):
    """Check the suffix, or for a length of 8 bytes followed by JSON."""
    with open(path, 'rb') as file:
        start = file.read(9)
    header = int.from_bytes(start[:8], 'little')
    return path.suffix == '.safetensors' or (
        start[8:] == b'{' and header < path.stat().st_size
    )


def _load_safetensors(path, map_location):
    """Load weights and metadata, in the form of MMEngine's checkpoints."""
    device = map_location if isinstance(map_location, str) else 'cpu'
    try:
        with safe_open(path, 'pt', device=device) as file:
            names = file.keys()
            weights = {name: file.get_tensor(name) for name in names}
            meta = file.metadata() or {}
    except SafetensorError as error:
        raise _unreadable(path, error) from None
    try:
        meta = json.loads(meta.get(SAFETENSORS_META, '{}'))
    except ValueError as error:
        raise _unreadable(path, error) from None
    except RecursionError:
        raise _unreadable(path, 'its metadata is nested too deep') from None
    return dict(state_dict=weights, meta=meta if type(meta) is dict else {})


@contextlib.contextmanager
def _replace_loaders() -> Iterator[None]:
    schemes = CheckpointLoader._schemes
    ours = {prefix: _safe(loader) for prefix, loader in schemes.items()}
    ours[''] = load_from_local
    before = dict(schemes)
    download = mmengine_checkpoint.load_url
    safe_download = _weights_only_download(download)
    schemes.update(ours)
    mmengine_checkpoint.load_url = safe_download
    try:
        yield
    finally:
        # What others have replaced meanwhile stays.
        schemes = CheckpointLoader._schemes
        for prefix, loader in before.items():
            if schemes.get(prefix) is ours[prefix]:
                schemes[prefix] = loader
        if mmengine_checkpoint.load_url is safe_download:
            mmengine_checkpoint.load_url = download


# Makes MMEngine load local files and downloads with this module.
safe_loaders = SharedContext(_replace_loaders)


def _safe(loader):
    """Wrap a loader of MMEngine so that it reads what this module reads."""

    @functools.wraps(loader)
    def load_safely(*args, **kwargs):
        with stand_ins_allowed:
            return loader(*args, **kwargs)

    return load_safely


def _weights_only_download(download):
    """Wrap torch's download function, whose default runs code."""

    @functools.wraps(download)
    def load_url(url, *args, **kwargs):
        kwargs['weights_only'] = True
        try:
            with stand_ins_allowed:
                return download(url, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise _unsafe(url, unsafe_names(str(error))) from None

    return load_url


def _check_content(path):
    """Reject a file whose first or last bytes are not a checkpoint's."""
    if path.is_dir():
        raise CheckpointError(
            f'{path} is a folder; wanted: a checkpoint file; give one of '
            'its .pth files'
        )
    if not path.exists():
        raise MissingCheckpointError(
            f'the checkpoint {path} was not found; correct the path, or '
            'train or convert the checkpoint first'
        )
    if kind := kind_of_special_file(path):
        raise CheckpointError(
            f'{path} is a {kind}; wanted: a checkpoint file; copy the '
            'checkpoint to a file'
        )
    start = _begins(path)
    if not start:
        raise CheckpointError(
            f'{path} is empty (0 bytes); wanted: a checkpoint; copy or '
            'download it again'
        )
    if start == ARCHIVE and not zipfile.is_zipfile(path):
        raise CheckpointError(
            f'{path} is truncated after {path.stat().st_size} bytes; copy or '
            'download it again'
        )
    if start == ARCHIVE:
        _check_size(path, declared_bytes(path), 'its records')


def declared_bytes(path: Path) -> int:
    """Sum the sizes that an archive declares for its records."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(record.file_size for record in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _unreadable(path, error) from None


def _check_tensors(path, checkpoint):
    """Reject tensors that would fill more memory than the file has bytes.

    A view may repeat a value without end; a copy of it takes the memory. A
    container is visited once: it may contain itself, or be an item of many.
    """
    values, visited = [('', checkpoint)], set()
    while values:
        name, value = values.pop()
        if isinstance(value, (Mapping, list, tuple)):
            if id(value) in visited:
                continue
            visited.add(id(value))
        if isinstance(value, Mapping):
            values += [(str(key), item) for key, item in value.items()]
        elif isinstance(value, (list, tuple)):
            values += [(name, item) for item in value]
        elif torch.is_tensor(value) and takes_memory(value):
            _check_size(
                path,
                value.numel() * value.element_size(),
                f'{name}, of shape {tuple(value.shape)},',
            )


def takes_memory(value: torch.Tensor) -> bool:
    """Whether a tensor is dense and has values."""
    return value.layout is torch.strided and not value.is_meta


def _check_size(path, declared, what):
    size = path.stat().st_size
    if declared > size:
        raise CheckpointError(
            f'{path} is damaged: {what} would take {declared} bytes, but the '
            f'file has {size}; copy or download it again'
        )


def _begins(path):
    with open(path, 'rb') as file:
        return file.read(len(ARCHIVE))


def _ends_within(path, name):
    """Check whether a file ends inside a name, which is then incomplete."""
    last = name.rstrip('.').rpartition('.')[2].encode()
    with open(path, 'rb') as file:
        file.seek(max(0, path.stat().st_size - len(last) - 2))
        end = file.read().rstrip(b'\n')
    # torch drops the last letter in place of the end of the line.
    return end.endswith(last) or end[:-1].endswith(last)


def _unsafe(source, names):
    return UnsafeCheckpointError(
        f'{source} contains code, or a type that is not weights '
        f'({", ".join(names) or "without a name"}); it was refused, and none '
        'of its code was run; ask its author for a file that holds only '
        "{'state_dict': model.state_dict()}"
    )


def _unreadable(path, error):
    detail = str(error).partition('WeightsUnpickler error:')[2] or str(error)
    detail = next(iter(detail.strip().splitlines()), type(error).__name__)
    if isinstance(error, KeyError):  # its text is only the key
        detail = FAULTS['Unsupported operand']
    for part, fault in FAULTS.items():
        if part in detail:
            detail = fault
    return CheckpointError(
        f'{path} cannot be read as a checkpoint ({detail}): the file is '
        'damaged or of another kind; copy it again, or give a file that '
        'torch.save wrote'
    )
