"""Unpacking rar: what is stored by rarfile, the rest by a tool."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import rarfile

from ..errors import UserError
from .progress import Progress
from .safe_names import copy_to, safe_path

# Best first: bsdtar reads neither solid archives nor all filters. One call
# unpacks all: rarfile's own use of them is one process an entry.
TOOLS = {
    'unrar': ['x', '-o+', '-p-', '-y', '-inul', '{archive}', '{folder}/'],
    'unar': ['-q', '-f', '-D', '-o', '{folder}', '{archive}'],
    '7z': ['x', '-y', '-bd', '-o{folder}', '{archive}'],
    '7zz': ['x', '-y', '-bd', '-o{folder}', '{archive}'],
    'bsdtar': ['-x', '-f', '{archive}', '-C', '{folder}'],
}


def unpack_rar(path: Path, folder: Path, progress: Progress):
    """Unpack a rar archive.

    Args:
        path: The archive.
        folder: Where to; it exists.
        progress: Told of the bytes of the archive that are done.

    Raises:
        UserError: If it is broken, has an entry that points outside of
            ``folder``, or is compressed and no tool for it is installed.
    """
    try:
        with rarfile.RarFile(path, errors='strict') as archive:
            entries = list_entries(path, folder, archive)
            stored = all(e.compress_type == rarfile.RAR_M0 for e in entries)
            if stored:
                for entry in entries:
                    target = safe_path(path, folder, entry.filename)
                    with archive.open(entry) as source:
                        copy_to(target, source, progress.advance)
        if not stored:
            unpack_with_a_tool(path, folder, entries, progress)
    except rarfile.Error as error:
        raise UserError(
            f'{path} is broken or no rar archive ({error}); fetch it again'
        ) from None


def list_entries(path: Path, folder: Path, archive) -> list:
    """The files in it, once all names are known to be harmless."""
    for entry in archive.infolist():
        safe_path(path, folder, entry.filename)
        if entry.needs_password():
            raise UserError(f'{path} is encrypted; unpack it by hand')
        if not (entry.is_dir() or entry.is_file()) or entry.file_redir:
            raise UserError(
                f'{path}: {entry.filename!r} is a link, which an archive of '
                'clips has no use for; fetch the archive again from its '
                'official page'
            )
    files = [entry for entry in archive.infolist() if entry.is_file()]
    if not files:
        raise UserError(f'{path} holds no files; fetch it again')
    return files


def unpack_with_a_tool(
    path: Path, folder: Path, entries: list, progress: Progress
):
    """Unpack with the first tool that can; then compare sizes."""
    tools = [tool for tool in TOOLS if shutil.which(tool)]
    if not tools:
        raise UserError(
            f'{path.name} is compressed, and none of {", ".join(TOOLS)} is '
            'installed to unpack it; install one (Debian: apt install '
            f'libarchive-tools, or unar), or unpack it by hand in '
            f'{path.parent}'
        )
    said = []
    for tool in tools:
        arguments = [
            argument.format(archive=path.resolve(), folder=folder.resolve())
            for argument in TOOLS[tool]
        ]
        status, text = run(
            [tool, *arguments], folder, len(entries), path, progress
        )
        wrong = [e for e in entries if not is_whole(folder, e)]
        if not wrong:
            return
        last = text.strip().splitlines()[-1:] or ['no message']
        said.append(
            f'{tool} (exit status {status}, {last[0]}) left {len(wrong)} of '
            f'{len(entries)} files wrong, such as {wrong[0].filename}'
        )
    raise UserError(
        f'{path} could not be unpacked: {"; ".join(said)}; fetch it again, '
        f'install unrar, or unpack it by hand in {path.parent}'
    )


def is_whole(folder: Path, entry) -> bool:
    target = folder / entry.filename
    return target.is_file() and target.stat().st_size == entry.file_size


def run(
    command: list[str],
    folder: Path,
    num_files: int,
    path: Path,
    progress: Progress,
) -> tuple[int, str]:
    """Run a tool to its end; files that appear are its progress."""
    size, told = path.stat().st_size, 0
    with tempfile.TemporaryFile() as output:
        tool = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while tool.poll() is None:
                try:
                    tool.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    count = sum(len(files) for _, _, files in os.walk(folder))
                    done = size * min(count / num_files, 1)
                    progress.advance(int(done) - told)
                    told = int(done)
        except BaseException:
            tool.terminate()
            tool.wait()
            raise
        progress.advance(size - told)
        output.seek(0)
        return tool.returncode, output.read().decode(errors='replace')
