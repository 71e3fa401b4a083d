"""The files of a packaged model, and their hashes."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..files import hash_file, part_of, write_json

MANIFEST = 'package.json'
FORMAT = 'dvfl_mmaction model'
FORMAT_VERSION = 1
WEIGHTS = 'model.safetensors'
CONFIG = 'config.json'
CLASSES = 'classes.json'
CLASS_LIST = 'classes.txt'  # the same, a name per line
PREPROCESSING = 'preprocessing.json'
CARD = 'README.md'
EXPORTED = 'exported'  # folder
NEEDED = (WEIGHTS, CONFIG, CLASSES)  # what loading reads
AGAIN = 'copy or download the package again'


def is_package(folder: str | os.PathLike) -> bool:
    """Whether a folder says that it is a packaged model."""
    try:
        return read_manifest(Path(folder))['format'] == FORMAT
    except UserError:
        return False


def write_manifest(folder: Path, **facts):
    """Write the size and SHA-256 of every file of a package.

    Args:
        folder: The package; complete but for the manifest.
        **facts: Plain values that describe the package.
    """
    files = {
        path.relative_to(folder).as_posix(): dict(
            bytes=path.stat().st_size, sha256=hash_file(path)
        )
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }
    write_json(
        folder / MANIFEST,
        dict(format=FORMAT, format_version=FORMAT_VERSION)
        | facts
        | dict(files=files),
    )


def read_manifest(folder: Path) -> dict:
    """Read a package's manifest.

    Raises:
        UserError: If there is none, or it is damaged or of a later version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        what = 'has no package.json' if folder.is_dir() else 'was not found'
        raise UserError(
            f'{folder} {what}; give a folder that tools/package_model.py '
            'wrote, or hf://owner/name'
        )
    manifest = read_json(path)
    files = manifest.get('files') if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get('format') != FORMAT:
        raise UserError(
            f'{path} does not describe a packaged model; give a folder that '
            'tools/package_model.py wrote'
        )
    version = manifest.get('format_version')
    if version != FORMAT_VERSION:
        raise UserError(
            f'{path} has format_version {version!r}; this dvfl_mmaction '
            f'reads {FORMAT_VERSION}; update dvfl_mmaction'
        )
    for name, entry in files.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith('/') or {'..', ''} & {*parts}:
            raise UserError(
                f'{path} names {name!r}, which is outside the package; it '
                'was refused'
            )
        if not isinstance(entry, dict) or not {'bytes', 'sha256'} <= {*entry}:
            raise UserError(f'{path} has no size and hash of {name}; {AGAIN}')
    return manifest


def check_files(folder: Path, manifest: dict, absent: tuple[str, ...] = ()):
    """Compare a package with the sizes and hashes of its manifest.

    Args:
        folder: The package.
        manifest: From :func:`read_manifest`.
        absent: Names, or beginnings of them, that need not be there.

    Raises:
        UserError: If a file is missing, truncated or changed.
    """
    missing = [name for name in NEEDED if name not in manifest['files']]
    if missing:
        raise UserError(
            f'{folder / MANIFEST} does not list {missing[0]}; {AGAIN}'
        )
    for name, entry in manifest['files'].items():
        path = folder / name
        if not path.is_file():
            if absent and name.startswith(absent):
                continue
            raise UserError(f'{path} is missing; {AGAIN}')
        size = path.stat().st_size
        if size != entry['bytes']:
            raise UserError(
                f'{path} has {size} bytes, not the {entry["bytes"]} of '
                f'{MANIFEST}: it is truncated or changed; {AGAIN}'
            )
        if hash_file(path) != entry['sha256']:
            raise UserError(
                f'{path} was changed: its SHA-256 is not that of {MANIFEST}; '
                f'{AGAIN}'
            )


def read_json(path: Path):
    """
    Raises:
        UserError: If a file is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f'{path} cannot be read as JSON ({error}); {AGAIN}'
        ) from None


def check_target(folder: Path, overwrite: bool):
    """
    Raises:
        UserError: If a folder exists and must not be replaced.
    """
    if not os.path.lexists(folder):
        return
    if not is_package(folder):
        raise UserError(
            f'{folder} exists and is not a packaged model; give another path'
        )
    if not overwrite:
        raise UserError(
            f'{folder} is a packaged model already; give another path, or '
            '--overwrite'
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(
            f'{folder} is the current folder, or has it inside, and would be '
            'replaced; run from another folder'
        )


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder that replaces ``folder`` once it is complete.

    After an exception, Ctrl-C included, it is removed, and ``folder`` stays
    as it was. A link stays; the folder that it names is replaced.

    Raises:
        UserError: If it cannot be written.
    """
    # Neither a link nor a part of the path can then be what is moved.
    folder = folder.resolve()
    part = part_of(folder)
    before = part.with_suffix('.old')
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        yield part
        if folder.exists():
            os.rename(folder, before)
        os.rename(part, folder)
    except OSError as error:
        raise UserError(
            f'{folder} cannot be written: {error.strerror or error}; give '
            'another path, or free some space'
        ) from error
    finally:
        if before.exists() and not folder.exists():
            os.rename(before, folder)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
