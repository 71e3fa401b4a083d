"""From archives in a folder to folders of clips, once."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ..datasets.annotations import write_lines
from ..errors import UserError
from . import checksums
from .archives import find_pieces, only_folder, unpack, unpack_pieces
from .catalogue import Archive, Dataset
from .disk_space import check_space
from .progress import Progress, Share, in_parallel

STAMP = '.unpacked'  # in the folder: a line 'size name' an archive


@dataclass
class Job:
    """Archives to unpack to one folder.

    Attributes:
        archive: What the catalogue says of them.
        files: One file, or the pieces of one.
        target: The folder that is to be.
    """

    archive: Archive
    files: list[Path]
    target: Path

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def stamp(self) -> list[str]:
        return [f'{path.stat().st_size} {path.name}' for path in self.files]

    @property
    def done(self) -> bool:
        """Whether the folder is there, from these files or by hand."""
        stamp = self.target / STAMP
        if not stamp.is_file():
            return self.target.is_dir()
        return stamp.read_text(encoding='utf-8').splitlines() == self.stamp


def unpack_all(
    root: Path, dataset: Dataset, checked: set[Path] = frozenset()
) -> list[str]:
    """Unpack the archives in ``root`` that are not unpacked yet.

    A folder without a stamp was unpacked by hand and is used as it is; one
    whose stamp names an archive of another size is made again.

    Args:
        root: The data set's folder.
        dataset: What it consists of.
        checked: Archives whose hash was compared in this run.

    Returns:
        A line for each archive that is not the published one.

    Raises:
        UserError: If there is too little room, or an archive cannot be
            unpacked or is no longer the one that was fetched.
    """
    jobs = [job for job in list_jobs(root, dataset) if not job.done]
    if not jobs:
        return []
    size = sum(job.size for job in jobs)
    names = [job.files[0].name for job in jobs]
    few = names[0] + (f' and {len(names) - 1} more' if names[1:] else '')
    # The inner archives of a nested one take their room as well.
    nested = sum(job.size for job in jobs if job.archive.kind == 'nested')
    check_space(root, size + nested, f'to unpack {few}')
    with Progress(f'unpacking {few}', size) as progress:

        def work(job):
            share = Share(progress, job.size)
            notes = compare(root, job, checked)
            run(job, share)
            share.finish()
            return notes

        return sum(in_parallel(work, jobs, progress), [])


def list_jobs(root: Path, dataset: Dataset) -> list[Job]:
    """A job for each archive in ``root``, done or not."""
    jobs = []
    for archive in dataset.archives:
        target = root / archive.folder
        files = sorted(path for path in root.glob(archive.name))
        if not archive.folder or (archive.clips and made_by_hand(root)):
            continue
        if archive.kind == 'pieces':
            files = find_pieces(files)
        if archive.kind == 'nested' and any(target.glob('*.rar')):
            # The outer archive was unpacked by hand, the inner ones not.
            jobs += each(archive, sorted(target.glob('*.rar')), target)
        elif archive.kind == 'each':
            jobs += each(archive, files, target)
        elif files:
            jobs.append(Job(archive, files, target))
    return jobs


def each(archive: Archive, files: list[Path], target: Path) -> list[Job]:
    inner = replace(archive, kind='each', digest='')
    return [Job(inner, [file], target / stem(file)) for file in files]


def stem(path: Path) -> str:
    return path.name.removesuffix('.gz').rpartition('.')[0]


def made_by_hand(root: Path) -> bool:
    """Whether ``videos`` holds clips itself, or is a link out of here."""
    videos = root / 'videos'
    if not videos.is_dir():
        return False
    if videos.is_symlink():
        return root.resolve() not in videos.resolve().parents
    return any(not path.is_symlink() for path in videos.iterdir())


def compare(root: Path, job: Job, checked: set[Path]) -> list[str]:
    """Compare hashes, of files that were not fetched just now.

    One that was fetched earlier must be what it was. One that was put there
    by hand may be packed otherwise than the published one: that is told.
    """
    notes = []
    for path in job.files:
        if path in checked:
            continue
        size, came = job.archive.size, path.stat().st_size
        if size not in (0, came) and job.archive.kind == 'whole':
            notes.append(f'{path} has {came} bytes; {size} are published')
        if job.archive.digest:
            try:
                checksums.check(root, path, job.archive.digest)
            except UserError as error:
                notes.append(str(error).partition(';')[0])
        else:
            checksums.check(root, path)
    return notes


def run(job: Job, progress: Progress | Share):
    """Do a job: nothing has its final name before it is whole."""
    part = job.target.with_name(job.target.name + '.part')
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        put_in_place(job, part, progress)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def put_in_place(job: Job, part: Path, progress: Progress | Share):
    if job.archive.kind == 'pieces':
        unpack_pieces(job.files, part, progress)
    else:
        unpack(job.files[0], part, progress)
    whole = only_folder(part, job.target.name)
    if job.archive.kind == 'nested':
        whole = unpack_inner(whole, part, progress)
    write_lines(whole / STAMP, job.stamp)
    old = job.target.with_name(job.target.name + '.old')
    shutil.rmtree(old, ignore_errors=True)
    if job.target.exists():
        job.target.rename(old)
    whole.rename(job.target)
    shutil.rmtree(old, ignore_errors=True)


def unpack_inner(folder: Path, part: Path, progress: Progress | Share) -> Path:
    """Unpack an archive a class; returns the folder of classes.

    Raises:
        UserError: If there is none.
    """
    inner = sorted(folder.glob('*.rar'))
    if not inner:
        raise UserError(
            f'{folder.name} holds no rar archives, but one a class was '
            'wanted; fetch the archive again'
        )
    classes, single = part / '.classes', part / '.single'
    classes.mkdir()

    def work(path):
        into = single / path.stem
        into.mkdir(parents=True)
        unpack(path, into, Share(progress, 0))
        only_folder(into, path.stem).rename(classes / path.stem)
        path.unlink()

    in_parallel(work, inner, progress)
    return classes
