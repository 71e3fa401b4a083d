"""Unpack the archives of a data set, each once and completely."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..datasets.annotations import write_lines
from ..errors import UserError
from ..files import check_space
from ..progress import Progress, Share, in_parallel
from . import checksums
from .archives import find_pieces, unpack
from .catalogue import Archive, Dataset
from .readers.disk import SUFFIXES

STAMP = '.unpacked'  # file in the folder: a line 'size name' per archive


@dataclass
class Job:
    """Archives to unpack to one folder.

    Attributes:
        archive: The catalogue's entry.
        files: One archive, or the pieces of one.
        target: The folder to make.
    """

    archive: Archive
    files: list[Path]
    target: Path

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def part(self) -> Path:
        """Temporary folder beside the target."""
        return self.target.with_name(self.target.name + '.part')

    @property
    def old(self) -> Path:
        """Where the folder of an earlier archive is while it is replaced."""
        return self.part.with_name(self.part.name + '.old')

    @property
    def stamp(self) -> list[str]:
        return [f'{path.stat().st_size} {path.name}' for path in self.files]

    @property
    def done(self) -> bool:
        """Whether the folder exists, made from these files or by hand."""
        stamp = self.target / STAMP
        if not stamp.is_file():
            return self.target.is_dir()
        return stamp.read_text(encoding='utf-8').splitlines() == self.stamp


def unpack_all(
    root: Path, dataset: Dataset, verified: set[Path] = frozenset()
) -> list[str]:
    """Unpack the archives in ``root`` that are not unpacked yet.

    A folder without a stamp was unpacked by hand and is kept. A folder is
    made again if its stamp names an archive of another size.

    Args:
        root: The data set's folder.
        dataset: The catalogue's entry.
        verified: Archives whose hash was compared in this run.

    Returns:
        A line per archive that differs from the published one.

    Raises:
        UserError: If the disk has too little space, or an archive cannot be
            unpacked or has changed since it was downloaded.
    """
    jobs = list_jobs(root, dataset)
    for job in jobs:  # what a killed run has left takes space
        shutil.rmtree(job.part, ignore_errors=True)
        shutil.rmtree(job.old, ignore_errors=True)
    jobs = [job for job in jobs if not job.done]
    if not jobs:
        return []
    size = sum(job.size for job in jobs)
    name = jobs[0].files[0].name
    few = f'{name} and {len(jobs) - 1} more' if jobs[1:] else name
    # A nested archive also leaves its inner archives on the disk.
    nested = sum(job.size for job in jobs if job.archive.kind == 'nested')
    check_space(root, size + nested, f'to unpack {few}')
    with Progress(f'unpacking {few}', size) as progress:

        def verify_and_unpack(job):
            share = Share(progress, job.size)
            notes = verify_hashes(root, job, verified)
            unpack_job(job, share)
            share.finish()
            return notes

        return sum(in_parallel(verify_and_unpack, jobs, progress), [])


def list_jobs(root: Path, dataset: Dataset) -> list[Job]:
    """A job per archive in ``root``, done or not."""
    jobs = []
    for archive in dataset.archives:
        target = root / archive.folder
        files = sorted(root.glob(archive.name))
        if not archive.folder or (archive.clips and is_user_supplied(root)):
            continue
        if archive.kind == 'pieces':
            files = find_pieces(files)
        inner = list_rars(target) if archive.kind == 'nested' else []
        if inner:  # only the outer archive was unpacked by hand
            jobs += jobs_per_file(archive, inner)
        elif archive.kind == 'each':
            jobs += jobs_per_file(archive, files)
        elif files:
            jobs.append(Job(archive, files, target))
    return jobs


def list_rars(folder: Path) -> list[Path]:
    """The rar archives in a folder; hidden files, as of macOS, are none."""
    paths = sorted(folder.glob('*.rar'))
    return [path for path in paths if not path.name.startswith('.')]


def jobs_per_file(archive: Archive, files: list[Path]) -> list[Job]:
    """Jobs that unpack each file to a folder beside it."""
    inner = replace(archive, kind='each', digest='')
    return [
        Job(inner, [path], path.with_name(without_suffix(path)))
        for path in files
    ]


def without_suffix(path: Path) -> str:
    return path.name.removesuffix('.gz').rpartition('.')[0]


def check_links(root: Path, dataset: Dataset):
    """Refuse links of the user to clips that are not there.

    Links in ``root`` that lead nowhere are those of an earlier run.

    Raises:
        UserError: If ``videos``, or a part in it, leads out of ``root`` to
            what does not exist, as with a disk that is not mounted.
    """
    videos = root / 'videos'
    parts = [videos / a.folder for a in dataset.archives if a.clips]
    for link in (videos, *parts):
        is_lost = link.is_symlink() and not link.exists()
        if is_lost and root.resolve() not in link.resolve().parents:
            raise UserError(
                f'{link} is a link to {link.readlink()}, which does not '
                'exist; mount its disk, or correct or remove the link'
            )


def is_user_supplied(root: Path) -> bool:
    """Whether ``videos`` holds clips itself, or links out of ``root``.

    Files that are no clips do not count: file managers leave some, such as
    ``.DS_Store``, in every folder that they show.
    """
    videos = root / 'videos'
    if not videos.is_dir():
        return False
    if videos.is_symlink():
        return root.resolve() not in videos.resolve().parents
    return any(
        path.is_dir() or path.suffix.lower() in SUFFIXES
        for path in videos.iterdir()
        if not path.is_symlink() and not path.name.startswith('.')
    )


def verify_hashes(root: Path, job: Job, verified: set[Path]) -> list[str]:
    """Compare the hashes of files that were not downloaded in this run.

    A file that was downloaded earlier must be unchanged. A file that was
    put there by hand may differ from the published one; this is reported.
    """
    notes = []
    for path in job.files:
        if path in verified:
            continue
        published, size = job.archive.size, path.stat().st_size
        if published not in (0, size) and job.archive.kind == 'whole':
            notes.append(f'{path} has {size} bytes; {published} are published')
        if job.archive.digest:
            try:
                checksums.verify(root, path, job.archive.digest)
            except UserError as error:
                notes.append(str(error).partition(';')[0])
        else:
            checksums.verify(root, path)
    return notes


def unpack_job(job: Job, progress: Progress | Share):
    """Unpack to a temporary folder, and rename it when it is complete."""
    part = job.part
    part.mkdir(parents=True)
    try:
        unpack(job.files, part, progress)
        folder = only_folder(part, job.target.name)
        if job.archive.kind == 'nested':
            folder = unpack_inner(folder, part, progress)
        write_lines(folder / STAMP, job.stamp)
        if job.target.exists():
            job.target.rename(job.old)
        folder.rename(job.target)
        shutil.rmtree(job.old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def only_folder(folder: Path, name: str) -> Path:
    """``folder/name`` if ``folder`` holds nothing else, else ``folder``.

    Hidden files do not count, nor does the folder that macOS adds to a zip.
    """
    inside = [
        path
        for path in folder.iterdir()
        if not path.name.startswith('.') and path.name != '__MACOSX'
    ]
    if [p.name for p in inside] == [PurePosixPath(name).name]:
        return inside[0] if inside[0].is_dir() else folder
    return folder


def unpack_inner(folder: Path, part: Path, progress: Progress | Share) -> Path:
    """Unpack one archive per class; returns the folder of classes.

    Raises:
        UserError: If there is none.
    """
    inner = list_rars(folder)
    if not inner:
        raise UserError(
            f'{folder.name} holds no rar archives, but one per class was '
            'expected; download the archive again'
        )
    classes, single = part / '.classes', part / '.single'
    classes.mkdir()

    def unpack_class(path):
        into = single / path.stem
        into.mkdir(parents=True)
        unpack([path], into, Share(progress, 0))
        only_folder(into, path.stem).rename(classes / path.stem)
        path.unlink()

    in_parallel(unpack_class, inner, progress)
    return classes
