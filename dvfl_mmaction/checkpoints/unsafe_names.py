"""Name the code that torch refused in a checkpoint, without running it.

:func:`torch.serialization.get_unsafe_globals_in_checkpoint` reads archives of
pickle protocol 2 only, the default of :func:`torch.save`, and does not know
what a stand-in refused. torch's error names the rest for that protocol. For
other protocols the pickle is disassembled here.
"""

import contextlib
import io
import mmap
import pickletools
import re
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from pathlib import Path

from torch.serialization import get_unsafe_globals_in_checkpoint

# How torch, or a stand-in of ours, names what it refused.
REFUSALS = (
    r'refused: (\S+)',
    r'GLOBAL (\S+) (?:was not|whose module)',
    r'unrecognized function <(?:function|class) \'?([^\s\'>]+)',
    r'(?:build|create new object) .*but got <class \'([^\']+)\'>',
    r'``([\w.]+)`` must be imported',
)
# The names in a file of weights alone.
WEIGHTS = r'torch\.\w+$|torch\._utils\.|torch\.storage\.|collections\.'


def unsafe_names(message: str, path: Path | None = None) -> list[str]:
    """Name the functions and types for which torch refused a file.

    Args:
        message: torch's error.
        path: The file; None if it is not at hand.

    Returns:
        All of them where torch can list them, otherwise the first; none if
        the file was refused for another reason.
    """
    names = _listed_by_torch(path) if path else []
    names = names or _in_message(message)
    if path and not names and 'Unsupported operand' in message:
        names = (n for n in _in_pickles(path) if not re.match(WEIGHTS, n))
        names = [name for name in [next(names, None)] if name]
    return [_python3_name(name) for name in names]


def _listed_by_torch(path):
    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:  # another format or protocol, or a damaged file
        return []


def _in_message(message):
    for pattern in REFUSALS:
        if match := re.search(pattern, message):
            name = match[1]
            return [name if '.' in name else f'builtins.{name}']
    return []


def _python3_name(name):
    """Translate a name that pickle has written as Python 2 called it."""
    module, _, attribute = name.rpartition('.')
    module, attribute = NAME_MAPPING.get(
        (module, attribute), (IMPORT_MAPPING.get(module, module), attribute)
    )
    return f'{module}.{attribute}'


def _in_pickles(path) -> Iterator[str]:
    """Yield the functions and types that a file's pickles name."""
    # A ValueError ends it: the last pickle was read, or it is damaged.
    with _open_pickles(path) as stream, contextlib.suppress(ValueError):
        while True:  # the old format has several
            yield from _in_one_pickle(stream)


def _open_pickles(path):
    if not zipfile.is_zipfile(path):
        with open(path, 'rb') as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with zipfile.ZipFile(path) as archive:
        pickles = [n for n in archive.namelist() if n.endswith('data.pkl')]
        return io.BytesIO(b''.join(archive.read(name) for name in pickles))


def _in_one_pickle(stream):
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
