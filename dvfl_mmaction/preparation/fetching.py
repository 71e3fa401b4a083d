"""Fetching what a data set's folder lacks."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import UserError
from ..files import hash_file
from . import checksums
from .catalogue import Archive, Dataset
from .disk_space import check_space
from .download import fetch, fetch_lines
from .progress import Progress
from .unpacking import made_by_hand


def fetch_all(root: Path, dataset: Dataset, tell=print) -> set[Path]:
    """Fetch the archives that are neither in ``root`` nor unpacked there.

    Args:
        root: The data set's folder; it exists.
        dataset: What it consists of.
        tell: Told of each file, and of what is to be put there by hand.

    Returns:
        The files fetched: their hashes were compared, or recorded.

    Raises:
        UserError: If something has no public link, there is too little
            room, or a file is not the one that is published.
    """
    missing = [a for a in dataset.archives if not is_here(root, a)]
    if any(not archive.url for archive in missing):
        for line in instructions(root, dataset):
            tell(line)
        raise UserError(
            f'{dataset.title} has no public links; put the files listed '
            f'above in {root} and leave out --download'
        )
    singles, needed = [], 0
    for archive in missing:
        parts = list_parts(archive)
        absent = [part for part in parts if not is_here(root, part)]
        singles += absent
        # What is unpacked takes about as much as the archives: clips are
        # compressed already.
        share = archive.size * len(absent) // len(parts)
        needed += share * (2 if archive.folder else 1)
    check_space(root, needed, f'to fetch and unpack {dataset.title}')
    for single in singles:
        fetch_one(root, single, tell)
    return {root / single.name for single in singles}


def is_here(root: Path, archive: Archive) -> bool:
    """Whether nothing of it is to be fetched."""
    if archive.clips and made_by_hand(root):
        return True
    if archive.kind == 'each':
        return False  # its parts are looked at one by one
    unpacked = bool(archive.folder) and (root / archive.folder).is_dir()
    return unpacked or any(root.glob(archive.name))


def list_parts(archive: Archive) -> list[Archive]:
    """The archive itself, or the files that its list names.

    Raises:
        UserError: If a line of the list is no link to such a file.
    """
    if archive.kind != 'each':
        return [archive]
    parts = []
    folder = archive.name.rpartition('/')[0]
    urls = fetch_lines(archive.url)
    if not urls:
        raise UserError(f'{archive.url} is empty; fetch the files by hand')
    for url in urls:
        name = f'{folder}/{urlsplit(url).path.rpartition("/")[2]}'
        if not Path(name).match(archive.name):
            raise UserError(
                f'{archive.url} names {url!r}, but {archive.name} was wanted; '
                'fetch the files by hand'
            )
        parts.append(
            replace(
                archive,
                name=name,
                url=url,
                kind='whole',
                size=0,
                folder=name.removesuffix('.tar.gz'),
            )
        )
    return parts


def fetch_one(root: Path, archive: Archive, tell):
    """Fetch a file and compare its hash, or record it.

    One with the wrong hash is put aside as ``NAME.refused``.
    """
    path = root / archive.name
    tell(f'fetching {archive.url} to {path}')
    with Progress(path.name, archive.size or None) as progress:
        fetch(archive.url, path, progress, archive.size, archive.digest)
    try:
        checksums.check(root, path, archive.digest)
    except UserError as error:
        refused = path.with_name(path.name + '.refused')
        path.replace(refused)
        raise UserError(f'{error}; it was put aside as {refused}') from None
    if not checksums.expected(root, archive.name, archive.digest):
        checksums.record(root, archive.name, hash_file(path))


def instructions(root: Path, dataset: Dataset) -> list[str]:
    """What to put where, a line a file."""
    head = f'{dataset.title} is at {dataset.page}'
    if dataset.registration:
        head += ' (registration is needed)'
    lines = [head + f'. Put in {root}:']
    for archive in dataset.archives:
        line = f'  {archive.name} ({archive.about})'
        if archive.folder:
            line += f', or unpack it to {archive.folder}/'
        lines.append(line + (', optional' if archive.optional else ''))
    return lines
