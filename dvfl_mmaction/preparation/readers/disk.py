"""Find and read the files of a data set."""

import os
from pathlib import Path, PurePosixPath

from ...errors import UserError
from ...files import file_id
from ..findings import Fault, Findings

SUFFIXES = ('.avi', '.mp4', '.webm', '.mkv')


def list_files(folder: Path) -> list[str]:
    """Names of the clips in a folder and its subfolders, sorted.

    Links to folders are followed, but not to one that holds them.
    """
    names = []
    above = {os.fspath(folder): set()}  # identities of the folders above
    for path, folders, files in os.walk(folder, followlinks=True):
        known = above.pop(path)
        if file_id(path) in known:
            folders.clear()
            continue
        folders[:] = [
            f
            for f in folders
            if not f.startswith('.') and not f.endswith(('.part', '.old'))
        ]
        for name in folders:
            above[os.path.join(path, name)] = known | {file_id(path)}
        base = Path(path).relative_to(folder)
        names += [
            (base / file).as_posix()
            for file in files
            if file.lower().endswith(SUFFIXES) and not file.startswith('.')
        ]
    return sorted(names)


def index_names(
    names: list[str], findings: Findings, key: str = 'stem'
) -> dict[str, str]:
    """File names without folder and suffix -> names; notes duplicates.

    Args:
        names: Names of clips; the first of several equal ones is taken.
        findings: Gets the others.
        key: ``name`` to keep the suffix.
    """
    found = {}
    for name in names:
        short = getattr(PurePosixPath(name), key)
        if short in found:
            findings.add(Fault.DUPLICATE, f'{found[short]} = {name}')
        found.setdefault(short, name)
    return found


def first_existing(root: Path, candidates: list[str], remedy: str) -> Path:
    """The first of ``candidates`` that exists in ``root``.

    Raises:
        UserError: If none does; ``remedy`` says how to get it.
    """
    for name in candidates:
        if (root / name).exists():
            return root / name
    raise UserError(f'{root / candidates[0]} not found; {remedy}')


def read_lines(path: Path) -> list[str]:
    """Lines without surrounding blanks; empty ones are skipped.

    A byte-order mark, as Windows' editors write one, is no part of a name.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')
    except FileNotFoundError:
        raise UserError(
            f'{path} not found; unpack its archive again'
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f'{path} is not UTF-8 text ({error}); unpack its archive again'
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]
