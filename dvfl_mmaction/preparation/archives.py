"""Unpack zip, tar and rar, and a tar.gz that was cut into pieces."""

import errno
import gzip
import io
import lzma
import os
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import rarfile

from ..errors import UserError
from ..progress import Progress, Share

CHUNK = 1 << 20
MAX_NAME = 255  # bytes; the limit of most file systems
MAX_PATH = 1024
BAD_NAME = (errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG)
ILLEGAL = re.compile('^[A-Za-z]:|\0')
PIECE = re.compile(r'-(\d\d)(\.zip)?$')
ENCRYPTED = 1  # in the flags of an entry of a zip
BROKEN = (
    EOFError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    rarfile.Error,
    tarfile.TarError,
    UnicodeDecodeError,  # the name of an entry
    zipfile.BadZipFile,
    zlib.error,
)
# In order of preference: bsdtar reads neither solid archives nor all filters.
RAR_TOOLS = {
    'unrar': ['x', '-o+', '-p-', '-y', '-inul', '{archive}', '{folder}/'],
    'unar': ['-q', '-f', '-D', '-o', '{folder}', '{archive}'],
    '7z': ['x', '-y', '-bd', '-o{folder}', '{archive}'],
    '7zz': ['x', '-y', '-bd', '-o{folder}', '{archive}'],
    'bsdtar': ['-x', '-f', '{archive}', '-C', '{folder}'],
}


def unpack(paths: list[Path], folder: Path, progress: Progress | Share):
    """Unpack an archive; its suffix says which kind it is.

    Args:
        paths: One .zip, .rar, .tar.gz or .tgz (the last two may be plain
            tar), or the pieces of one tar.gz in order (see
            :func:`find_pieces`).
        folder: Folder to unpack to; it exists.
        progress: Counts the bytes of the archive.

    Raises:
        UserError: If the archive is broken, has an entry outside of
            ``folder``, or is a rar that no installed tool can read.
    """
    path = paths[0]
    with broken_archive_error(paths[-1]):
        if path.suffix == '.rar' and not PIECE.search(path.name):
            unpack_rar(path, folder, progress)
        elif path.suffix == '.zip' and not PIECE.search(path.name):
            unpack_zip(path, folder, progress)
        else:
            unpack_tar(paths, folder, progress)


@contextmanager
def broken_archive_error(path: Path):
    """Report a broken archive as a mistake of the user."""
    try:
        yield
    except BROKEN as error:
        raise UserError(
            f'{path} is broken or ends early ({error}); download it again'
        ) from None
    except NotImplementedError as error:  # of zipfile
        raise UserError(
            f'{path} cannot be unpacked by Python ({error}); unpack it by hand'
        ) from None


def check_entry(archive: Path, name: str, is_file_or_folder: bool):
    """Refuse an entry outside of the folder, a link and a special file.

    No archive of clips has them. ``zipfile`` would unpack ``../x`` as ``x``,
    and ``tarfile`` follows links that it judges harmless; links have led
    outside in several versions of Python (CVE-2025-4517).
    """
    path = PurePosixPath(name.replace('\\', '/'))
    sizes = [len(part.encode(errors='replace')) for part in path.parts]
    if path.is_absolute() or '..' in path.parts or ILLEGAL.search(name):
        problem = 'points outside of the folder that it is unpacked to'
    elif not is_file_or_folder:
        problem = 'is a link or a special file, not a file or folder'
    elif max(sizes, default=0) > MAX_NAME or len(name) > MAX_PATH:
        problem = 'is too long for a file name'
    else:
        return
    shown = name if len(name) < 80 else f'{name[:76]}...'
    raise UserError(
        f'{archive}: {shown!r} {problem}; download the archive again from '
        'its official page'
    )


def check_encryption(archive: Path, is_encrypted: bool | int):
    """Refuse an encrypted entry."""
    if is_encrypted:
        raise UserError(f'{archive} is encrypted; unpack it by hand')


def unpack_zip(path: Path, folder: Path, progress: Progress | Share):
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            known = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            check_entry(path, entry.filename, known)
            check_encryption(path, entry.flag_bits & ENCRYPTED)
        for entry in archive.infolist():
            # Old tools of Windows write folders as 'a\\'.
            if not entry.filename.endswith(('/', '\\')):
                with archive.open(entry) as source:
                    write_entry(source, folder, entry.filename)
            progress.advance(entry.compress_size)


def write_entry(source: io.IOBase, folder: Path, name: str):
    """Write a file of an archive; its mode and owner are not copied.

    Raises:
        UserError: If no file can have this name.
    """
    target = folder / name.replace('\\', '/')
    try:
        os.makedirs(target.parent, exist_ok=True)
        file = target.open('wb')
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise UserError(
            f'the archive has both a file and a folder {name!r}; download it '
            'again from its official page'
        ) from None
    except (OSError, UnicodeEncodeError) as error:
        if getattr(error, 'errno', errno.EILSEQ) not in BAD_NAME:
            raise
        raise UserError(
            f'no file can be named {name!r} in {folder} ({error}); unpack '
            'the archive by hand'
        ) from None
    with file:
        shutil.copyfileobj(source, file, CHUNK)


def unpack_tar(paths: list[Path], folder: Path, progress: Progress | Share):
    """Unpack a tar, or the pieces of one.

    It is read twice, since a tar has no list of its entries: all are checked
    before the first is written.
    """
    for entry, _ in read_tar(paths, progress):
        known = entry.isfile() or entry.isdir()
        check_entry(paths[0], entry.name, known)
    for entry, archive in read_tar(paths, progress):
        if entry.isfile():
            write_entry(archive.extractfile(entry), folder, entry.name)


def read_tar(
    paths: list[Path], progress: Progress | Share
) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Entries in order; counts half of the bytes that are read."""
    openers = [partial(paths[0].open, 'rb')]
    if PIECE.search(paths[0].name):
        openers = map(piece_opener, paths)
    with JoinedFiles(openers, lambda n: progress.advance(n // 2)) as stream:
        buffered = io.BufferedReader(stream, CHUNK)
        # CVDF once hosted a plain tar as part_120.tar.gz.
        if buffered.peek(2)[:2] == b'\x1f\x8b':
            buffered = gzip.GzipFile(fileobj=buffered)
        with tarfile.open(fileobj=buffered, mode='r|') as archive:
            for entry in archive:
                yield entry, archive
        while buffered.read(CHUNK):
            pass  # gzip reports a file that ends early only at its end


def find_pieces(paths: list[Path]) -> list[Path]:
    """The pieces in order, without duplicates.

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


def piece_opener(path: Path) -> Callable[[], io.IOBase]:
    """Function that opens a piece; some are in a zip, others only named so."""

    def open_piece():
        with path.open('rb') as file:
            start = file.read(4)
        if start != b'PK\x03\x04' or not zipfile.is_zipfile(path):
            return path.open('rb')
        archive = zipfile.ZipFile(path)
        entries = [e for e in archive.infolist() if not e.is_dir()]
        if len(entries) != 1:
            raise UserError(
                f'{path} holds {len(entries)} files, but one piece of a '
                'tar.gz was expected; unpack it by hand'
            )
        check_encryption(path, entries[0].flag_bits & ENCRYPTED)
        return archive.open(entries[0])

    return open_piece


class JoinedFiles(io.RawIOBase):
    """Files read one after the other; their bytes are counted.

    Args:
        openers: Open one file each, when its turn comes.
        count: Gets the number of bytes of each read.
    """

    def __init__(
        self,
        openers: Iterable[Callable[[], io.IOBase]],
        count: Callable[[int], None],
    ):
        self.openers = iter(openers)
        self.count = count
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
                self.count(count)
                return count
            self.file.close()
            self.file = None

    def close(self):
        if self.file is not None:
            self.file.close()
        super().close()


def unpack_rar(path: Path, folder: Path, progress: Progress | Share):
    """Unpack stored files with rarfile, and compressed ones with a tool.

    One call of a tool unpacks the archive; rarfile would start one process
    per file.
    """
    with rarfile.RarFile(path, errors='strict') as archive:
        entries = list_rar_files(path, archive)
        if any(e.compress_type != rarfile.RAR_M0 for e in entries):
            return unpack_with_tool(path, folder, entries, progress)
        for entry in entries:
            with archive.open(entry) as source:
                write_entry(source, folder, entry.filename)
            progress.advance(entry.compress_size)


def list_rar_files(path: Path, archive: rarfile.RarFile) -> list:
    """The files in an archive, after a check of all its entries."""
    for entry in archive.infolist():
        known = entry.is_dir() or entry.is_file()
        check_entry(path, entry.filename, known and not entry.file_redir)
        check_encryption(path, entry.needs_password())
    files = [entry for entry in archive.infolist() if entry.is_file()]
    if not files:
        raise UserError(f'{path} holds no files; download it again')
    return files


def unpack_with_tool(
    path: Path, folder: Path, entries: list, progress: Progress | Share
):
    """Try the installed tools in order, until all sizes are right."""
    tools = [tool for tool in RAR_TOOLS if shutil.which(tool)]
    if not tools:
        raise UserError(
            f'{path.name} is compressed, and none of {", ".join(RAR_TOOLS)} '
            'is installed to unpack it; install one (Debian: apt install '
            'libarchive-tools, or unar), or unpack it by hand in '
            f'{path.parent}'
        )
    failures = []
    for tool in tools:
        arguments = [
            argument.format(archive=path.resolve(), folder=folder.resolve())
            for argument in RAR_TOOLS[tool]
        ]
        status, output = run_tool(
            [tool, *arguments],
            file_counter(path, folder, len(entries), progress),
        )
        wrong = [e for e in entries if not is_whole(folder, e)]
        if not wrong:
            return
        last = output.strip().splitlines()[-1:] or ['no message']
        failures.append(
            f'{tool} (exit status {status}, {last[0]}) left {len(wrong)} of '
            f'{len(entries)} files wrong, such as {wrong[0].filename}'
        )
    raise UserError(
        f'{path} could not be unpacked: {"; ".join(failures)}; download it '
        f'again, install unrar, or unpack it by hand in {path.parent}'
    )


def is_whole(folder: Path, entry: rarfile.RarInfo) -> bool:
    target = folder / entry.filename
    return target.is_file() and target.stat().st_size == entry.file_size


def file_counter(
    path: Path, folder: Path, num_files: int, progress: Progress | Share
) -> Callable[[], None]:
    """Function that advances the bar by the files that have appeared."""
    size, counted = path.stat().st_size, 0

    def count():
        nonlocal counted
        found = sum(len(files) for *_, files in os.walk(folder))
        done = int(size * min(found / num_files, 1))
        progress.advance(done - counted)
        counted = done

    return count


def run_tool(
    command: list[str], each_second: Callable[[], None]
) -> tuple[int, str]:
    """Run a command; an exception in ``each_second`` terminates it.

    ``subprocess.run`` cannot be stopped here: Ctrl-C reaches the main thread
    only, and tools run in others.

    Returns:
        Exit status and output.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    ) as tool:
        try:
            while True:
                try:
                    output, _ = tool.communicate(timeout=1)
                    return tool.returncode, output
                except subprocess.TimeoutExpired:
                    each_second()
        except BaseException:
            tool.terminate()
            raise
