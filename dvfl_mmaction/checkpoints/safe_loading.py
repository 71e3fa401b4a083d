"""Read checkpoints without running what they carry.

``weights_only`` is on for every file, and what cannot be read is refused in
one line: the file, what is wrong with it, and the remedy.
"""

import functools
import io
import json
import os
import pickle
import pickletools
import re
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import SafetensorError, safe_open

from ..errors import UserError
from .safe_globals import allow_released_configs

# Where torch, or a stand-in of ours, names what it refused.
REFUSALS = (
    r'refused: (\S+)',
    r'GLOBAL (\S+) (?:was not|whose module)',
    r'unrecognized function <(?:function|class) \'?([^\s\'>]+)',
    r'(?:build|create new object) .*but got <class \'([^\']+)\'>',
    r'``([\w.]+)`` must be imported',
)
# Under it, a safetensors file of ours has its meta, as JSON.
SAFETENSORS_META = 'dvfl_mmaction'
# What a file of plain weights names.
WEIGHTS = r'torch\.\w+$|torch\._utils\.|torch\.storage\.|collections\.'
ARCHIVE = b'PK\x03\x04'  # what a file that torch.save has written begins with
# What torch says of a file that is none of its own, in a user's words; it
# would advise to turn weights_only off.
KINDS = {
    'TorchScript': 'it is a TorchScript program',
    'legacy .tar': 'it is no archive that torch.save writes now',
    'Unsupported operand': 'it is not what torch.save writes',
}


class CheckpointError(UserError):
    """A file was given as a checkpoint and cannot be read as one."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint names code that loading it would run."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """There is no file where a checkpoint was wanted."""


def load_checkpoint_file(path, mmap=False) -> dict:
    """Load a checkpoint onto the CPU, never running code from it.

    Args:
        path: A file, or an address that MMEngine can read.
        mmap: As for :func:`load_from_local`; the path is a local file then.

    Raises:
        CheckpointError: If it is missing, damaged, no checkpoint, or carries
            code.
    """
    install()
    if mmap:
        return load_from_local(path, 'cpu', mmap=True)
    return CheckpointLoader.load_checkpoint(
        os.fspath(path), map_location='cpu', logger='silent'
    )


def load_from_local(filename, map_location=None, mmap=False) -> dict:
    """Load a local file; MMEngine's loader of this name, made safe.

    Args:
        filename: Path of the file, torch's or safetensors; ``~`` is
            expanded.
        map_location: As for :func:`torch.load`.
        mmap: Map the file instead of reading it, if its format allows.

    Raises:
        CheckpointError: As for :func:`load_checkpoint_file`.
    """
    path = Path(filename).expanduser()
    _check_content(path)
    if _is_safetensors(path):
        return _load_safetensors(path, map_location)
    with warnings.catch_warnings():
        # Told in the error, where it matters.
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
            name = _refused_name(str(error), path)
            if name is None:
                raise _unreadable(path, error) from None
            if _breaks_off_within(path, name):
                raise _unreadable(path, 'it breaks off') from None
            raise _unsafe(path, name) from None
        except (OSError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a damaged file raises anything at all
            if 'Attempting to deserialize' in str(error):
                raise  # the file is sound: its device is absent here
            raise _unreadable(path, error) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{path} holds a {type(checkpoint).__name__}, not a checkpoint: '
            'a dict of weights, or one with them under state_dict, was '
            'wanted; give a file that a training run has saved'
        )
    return checkpoint


def _is_safetensors(path):
    """Tell by the suffix, or by a length of 8 bytes and then JSON."""
    with open(path, 'rb') as file:
        start = file.read(9)
    header = int.from_bytes(start[:8], 'little')
    return path.suffix == '.safetensors' or (
        start[8:] == b'{' and header < path.stat().st_size
    )


def _load_safetensors(path, map_location):
    """Load a file that has no code, in the form of MMEngine's."""
    device = map_location if isinstance(map_location, str) else 'cpu'
    try:
        with safe_open(path, 'pt', device=device) as file:
            names = file.keys()
            weights = {name: file.get_tensor(name) for name in names}
            meta = file.metadata() or {}
    except SafetensorError as error:
        raise _unreadable(path, error) from None
    meta = meta.get(SAFETENSORS_META, '{}')
    try:
        meta = json.loads(meta)
    except ValueError as error:
        raise _unreadable(path, error) from None
    return dict(state_dict=weights, meta=meta if type(meta) is dict else {})


def install():
    """Make MMEngine load local files and downloads by this module."""
    allow_released_configs()
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    download = mmengine_checkpoint.load_url
    if getattr(download, '__module__', None) != __name__:
        mmengine_checkpoint.load_url = _weights_only_download(download)


def _weights_only_download(download):
    """Wrap torch's download function, which runs code unless told not to."""

    @functools.wraps(download)
    def load_url(url, *args, **kwargs):
        kwargs['weights_only'] = True
        try:
            return download(url, *args, **kwargs)
        except pickle.UnpicklingError as error:
            name = _refused_name(str(error)) or 'what is not weights'
            raise _unsafe(url, name) from None

    load_url.__module__ = __name__
    return load_url


def _check_content(path):
    """Refuse what is no checkpoint by its first and last bytes."""
    if path.is_dir():
        raise CheckpointError(
            f'{path} is a folder, a checkpoint file was wanted; give one of '
            'the .pth files'
        )
    if not path.is_file():
        raise MissingCheckpointError(
            f'there is no file {path}, a checkpoint was wanted; correct the '
            'path, or train or convert the checkpoint first'
        )
    start = _begins(path)
    if not start:
        raise CheckpointError(
            f'{path} is empty (0 bytes), a checkpoint was wanted; copy or '
            'download it again'
        )
    if start == ARCHIVE and not zipfile.is_zipfile(path):
        raise CheckpointError(
            f'{path} is cut short after {path.stat().st_size} bytes; copy or '
            'download it again'
        )


def _begins(path):
    with open(path, 'rb') as file:
        return file.read(len(ARCHIVE))


def _breaks_off_within(path, name):
    """Tell whether a file ends inside a name, which then is none."""
    last = name.rstrip('.').rpartition('.')[2].encode()
    with open(path, 'rb') as file:
        file.seek(max(0, path.stat().st_size - len(last) - 2))
        end = file.read().rstrip(b'\n')
    # torch takes the last letter for the end of the line.
    return end.endswith(last) or end[:-1].endswith(last)


def _unsafe(source, name):
    return UnsafeCheckpointError(
        f'{source} carries code or a type that is not weights ({name}); it '
        'was refused and nothing of it was run; ask its author for a file '
        "that holds only {'state_dict': model.state_dict()}"
    )


def _unreadable(path, error):
    detail = str(error).partition('WeightsUnpickler error:')[2] or str(error)
    detail = next(iter(detail.strip().splitlines()), type(error).__name__)
    if isinstance(error, KeyError):  # its text is the key alone
        detail = KINDS['Unsupported operand']
    for mark, kind in KINDS.items():
        if mark in detail:
            detail = kind
    return CheckpointError(
        f'{path} cannot be read as a checkpoint ({detail}): it is damaged, '
        'or of another kind; copy it again, or give a file that torch.save '
        'has written'
    )


def _refused_name(message, path=None):
    """Find which name of a file was refused; None if it was none."""
    for pattern in REFUSALS:
        if match := re.search(pattern, message):
            name = match[1]
            return _of_python3(name if '.' in name else f'builtins.{name}')
    if path is None or 'Unsupported operand' not in message:
        return None
    # A pickle newer than torch's own: read its names off without running it.
    for name in _pickled_names(path):
        if not re.match(WEIGHTS, name):
            return _of_python3(name)
    return None


def _of_python3(name):
    """Translate a name that pickle has written as Python 2 called it."""
    module, _, attribute = name.rpartition('.')
    module, attribute = NAME_MAPPING.get(
        (module, attribute), (IMPORT_MAPPING.get(module, module), attribute)
    )
    return f'{module}.{attribute}'


def _pickled_names(path):
    """List the functions and types that a file's pickles name, in order."""
    data = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            data = b''.join(
                archive.read(name)
                for name in archive.namelist()
                if name.endswith('data.pkl')
            )
    stream, names = io.BytesIO(data), []
    try:
        while stream.tell() < len(data):  # the old format has several
            names += _names_of_one_pickle(stream)
    except ValueError:
        pass  # past the last pickle, or damaged: these are the names
    return names


def _names_of_one_pickle(stream):
    strings, memo = [], {}
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ('GLOBAL', 'INST'):
            yield argument.replace(' ', '.', 1)
        elif opcode.name == 'STACK_GLOBAL':
            yield '.'.join(strings[-2:])
        elif opcode.name == 'MEMOIZE':
            memo[len(memo)] = strings[-1] if strings else ''
        elif opcode.name in ('BINGET', 'LONG_BINGET'):
            strings.append(memo.get(argument, ''))
        elif isinstance(argument, str):
            strings.append(argument)
