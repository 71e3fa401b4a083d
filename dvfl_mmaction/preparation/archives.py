"""Unpacking zip and tar, and a tar.gz that was cut in pieces."""

import gzip
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..errors import UserError
from .progress import Progress
from .rar_archives import unpack_rar
from .safe_names import copy_to, safe_path

PIECE = re.compile(r'-(\d\d)(\.zip)?$')
BROKEN = (
    EOFError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def unpack(path: Path, folder: Path, progress: Progress):
    """Unpack an archive by its suffix.

    Args:
        path: A .zip, .rar, .tar.gz or .tgz; the last two may be plain tar.
        folder: Where to; it exists.
        progress: Told of the bytes of the archive that are done.

    Raises:
        UserError: If it is broken, has an entry that points outside of
            ``folder``, or is a rar that nothing here can read.
    """
    if path.suffix == '.rar':
        return unpack_rar(path, folder, progress)
    with explained(path):
        if path.suffix == '.zip':
            unpack_zip(path, folder, progress)
        else:
            with path.open('rb') as file:
                unpack_tar(Counted(file, progress), path, folder)


def unpack_zip(path: Path, folder: Path, progress: Progress):
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            target = safe_path(path, folder, entry.filename)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise UserError(
                    f'{path}: {entry.filename!r} is a link, which an archive '
                    'of clips has no use for; fetch the archive again from '
                    'its official page'
                )
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with archive.open(entry) as source:
                copy_to(target, source, lambda amount: progress.advance(0))
            progress.advance(entry.compress_size)


def unpack_tar(stream: io.RawIOBase, path: Path, folder: Path):
    """Unpack from a stream; it is read once, from front to back."""
    if not hasattr(tarfile, 'data_filter'):
        raise UserError(
            'this Python cannot unpack tar files safely; use 3.10.12, 3.11.4 '
            'or a later one, or unpack them by hand'
        )
    buffered = io.BufferedReader(stream, 1 << 20)
    # CVDF once put up a plain tar as part_120.tar.gz.
    if buffered.peek(2)[:2] == b'\x1f\x8b':
        buffered = gzip.GzipFile(fileobj=buffered)
    with tarfile.open(fileobj=buffered, mode='r|') as archive:
        for entry in archive:
            try:
                archive.extract(entry, folder, filter='data')
            except tarfile.FilterError as error:
                raise UserError(
                    f'{path}: {entry.name!r} points outside of the folder '
                    f'that it is unpacked to ({error}); fetch the archive '
                    'again from its official page'
                ) from None
    while buffered.read(1 << 20):
        pass  # to the end: only there does gzip say that it was cut short


def unpack_pieces(paths: list[Path], folder: Path, progress: Progress):
    """Unpack one tar.gz that was cut in pieces, without joining them.

    Args:
        paths: Files ``...-00``, ``...-01``, as they are or each in a zip,
            in order (see :func:`find_pieces`).
        folder: Where to; it exists.
        progress: Told of the bytes of the pieces that are done.
    """
    with explained(paths[-1]):
        joined = Joined(open_piece(path) for path in paths)
        unpack_tar(Counted(joined, progress), paths[0], folder)


def find_pieces(paths: list[Path]) -> list[Path]:
    """The pieces in order, once each.

    Raises:
        UserError: If one between them is missing.
    """
    pieces = {}
    for path in sorted(paths):
        match = PIECE.search(path.name)
        if match:
            pieces.setdefault(int(match[1]), path)
    missing = sorted(set(range(max(pieces, default=-1) + 1)) - set(pieces))
    if missing:
        name = PIECE.sub(
            f'-{missing[0]:02d}', next(iter(pieces.values())).name
        )
        raise UserError(
            f'{name} is missing: there are pieces up to '
            f'-{max(pieces):02d}; put all of them in one folder'
        )
    return [pieces[number] for number in sorted(pieces)]


def open_piece(path: Path) -> Callable[[], io.IOBase]:
    """How to open a piece; some have the suffix .zip and are no zip."""

    def opener():
        with path.open('rb') as file:
            start = file.read(4)
        if start != b'PK\x03\x04' or not zipfile.is_zipfile(path):
            return path.open('rb')
        archive = zipfile.ZipFile(path)
        entries = [e for e in archive.infolist() if not e.is_dir()]
        if len(entries) != 1:
            raise UserError(
                f'{path} holds {len(entries)} files, but one piece of a '
                'tar.gz was wanted; unpack it by hand'
            )
        return archive.open(entries[0])

    return opener


class Joined(io.RawIOBase):
    """Files one after the other, each opened when its turn comes."""

    def __init__(self, openers: Iterator[Callable[[], io.IOBase]]):
        self.openers = iter(openers)
        self.file = None

    def readable(self):
        return True

    def readinto(self, buffer):
        while True:
            if self.file is None:
                opener = next(self.openers, None)
                if opener is None:
                    return 0
                self.file = opener()
            count = self.file.readinto(buffer)
            if count:
                return count
            self.file.close()
            self.file = None

    def close(self):
        if self.file is not None:
            self.file.close()
        super().close()


class Counted(io.RawIOBase):
    """A file whose bytes are counted as they are read."""

    def __init__(self, file: io.IOBase, progress: Progress):
        self.file = file
        self.progress = progress

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.file.readinto(buffer)
        self.progress.advance(count)
        return count


@contextmanager
def explained(path: Path):
    """Tell of a broken archive as a mistake of the user's."""
    try:
        yield
    except BROKEN as error:
        raise UserError(
            f'{path} is broken or ends early ({error}); fetch it again'
        ) from None


def only_folder(folder: Path, name: str) -> Path:
    """``folder/name`` if that is all there is, else ``folder``."""
    inside = [p for p in folder.iterdir() if not p.name.startswith('.')]
    if [p.name for p in inside] == [PurePosixPath(name).name]:
        return inside[0] if inside[0].is_dir() else folder
    return folder
