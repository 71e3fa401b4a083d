"""Download the archives that a data set's folder lacks."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from ..download import fetch, fetch_lines, part_path, size_of
from ..errors import UserError
from ..files import check_space, hash_file
from ..progress import Progress
from . import checksums
from .catalogue import Archive, Dataset
from .unpacking import is_user_supplied


def fetch_archives(root: Path, dataset: Dataset, report=print) -> set[Path]:
    """Download the archives that are neither in ``root`` nor unpacked there.

    Args:
        root: The data set's folder; it exists.
        dataset: The catalogue's entry.
        report: Called with a line per file, and with instructions if a file
            has no public link.

    Returns:
        The downloaded files. Their hashes are verified, or recorded if none
        is published.

    Raises:
        UserError: If a file has no public link, differs from the published
            one, or does not fit on the disk.
    """
    missing = [a for a in dataset.archives if not is_present(root, a)]
    if any(not archive.url for archive in missing):
        for line in instructions(root, dataset):
            report(line)
        raise UserError(
            f'{dataset.title} has no public links; put the files listed '
            f'above in {root} and leave out --download'
        )
    singles, needed = [], 0
    for archive in missing:
        parts = list_parts(archive)
        absent = [part for part in parts if not is_present(root, part)]
        singles += absent
        # Clips are compressed: unpacked, they take about as much again.
        share = archive.size * len(absent) // len(parts)
        have = sum(size_of(part_path(root / part.name)) for part in absent)
        needed += max(0, share * (2 if archive.folder else 1) - have)
    check_space(root, needed, f'to download and unpack {dataset.title}')
    for single in singles:
        fetch_archive(root, single, report)
    return {root / single.name for single in singles}


def is_present(root: Path, archive: Archive) -> bool:
    """Whether the archive, or what it unpacks to, is in ``root``."""
    if archive.clips and is_user_supplied(root):
        return True
    if archive.kind == 'each':
        return False  # each of its parts is checked
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
        raise UserError(f'{archive.url} is empty; download the files by hand')
    for url in urls:
        try:
            name = f'{folder}/{urlsplit(url).path.rpartition("/")[2]}'
        except ValueError:  # no address, such as 'https://[x'
            name = ''
        if not Path(name).match(archive.name):
            raise UserError(
                f'{archive.url} names {url!r}, but {archive.name} was '
                'expected; download the files by hand'
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


def fetch_archive(root: Path, archive: Archive, report):
    """Download a file and verify its hash, or record it.

    A file with the wrong hash is renamed to ``NAME.refused``.
    """
    path = root / archive.name
    report(f'downloading {archive.url} to {path}')

    def verify(part):
        checksums.verify(root, path, archive.digest, part)
        if not checksums.expected(root, archive.name, archive.digest):
            checksums.record(root, archive.name, hash_file(part))

    with Progress(path.name, archive.size or None) as progress:
        fetch(
            archive.url,
            path,
            progress,
            archive.size,
            archive.digest,
            verify=verify,
        )


def instructions(root: Path, dataset: Dataset) -> list[str]:
    """Where to put which file, one line per file."""
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
