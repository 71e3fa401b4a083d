"""Prepare a data set: download, unpack, read, split, write lists."""

from dataclasses import dataclass, field
from pathlib import Path

from ..datasets.annotations import Annotations, write_annotations, write_lines
from ..errors import UserError
from ..locks import hold
from .catalogue import CATALOGUE, Dataset
from .fetching import fetch_archives
from .findings import Clip, Reading
from .readers.class_folders import read_hmdb51, read_ucf50, read_ucf101
from .readers.kinetics import read_k400
from .readers.something_something import read_ssv2
from .splits import split_by_source
from .unpacking import check_links, unpack_all

READERS = dict(
    ucf50=read_ucf50,
    ucf101=read_ucf101,
    hmdb51=read_hmdb51,
    ssv2=read_ssv2,
    k400=read_k400,
)
LOCK = '.preparing.lock'
SPLITS = ('official', 'paper')
PARTS = ('train', 'val')


@dataclass
class Prepared:
    """The files that :func:`prepare` wrote.

    Attributes:
        classes: The file of classes.
        lists: (split, part) -> list of clips; the split is ``1``,
            ``official`` or ``paper`` as in the file's name.
        videos: Folder that names in lists are relative to.
        lines: Lines to show to the user.
    """

    classes: Path
    lists: dict[tuple[str, str], Path]
    videos: Path
    lines: list[str] = field(default_factory=list)


def prepare(
    name: str,
    root: str | Path,
    download: bool = False,
    split: str = 'official',
    strict: bool = False,
    report=print,
) -> Prepared:
    """Write lists of clips from a data set's official archives.

    Finished steps are skipped.

    Args:
        name: A key of ``CATALOGUE``.
        root: Folder with the archives, or with their content.
        download: Whether to download missing archives.
        split: ``official`` for all official splits, or ``paper``.
        strict: Whether missing, unknown or duplicated clips are an error;
            then nothing is written.
        report: Called with a line per download.

    Raises:
        UserError: If a needed file is missing or broken, or another process
            prepares the same folder.
    """
    root, dataset = Path(root), CATALOGUE[name]
    if download:
        root.mkdir(parents=True, exist_ok=True)
    if not root.is_dir():
        raise UserError(
            f'{root} not found; make it and put the archives of '
            f'{dataset.title} in it, or pass --download'
        )
    # Two runs would write the same unfinished files.
    refusal = f'another run prepares {root}; rerun the command when it is done'
    with hold(root / LOCK, refusal):
        check_links(root, dataset)
        fetched = fetch_archives(root, dataset, report) if download else set()
        notes = unpack_all(root, dataset, fetched)
        return write_lists(root, dataset, notes, split, strict)


def write_lists(
    root: Path, dataset: Dataset, notes: list[str], split: str, strict: bool
) -> Prepared:
    """Write the lists of a data set whose archives are unpacked.

    Args:
        root: Its folder.
        dataset: The catalogue's entry.
        notes: Lines of the archives, to show to the user.
        split: As of :func:`prepare`, like the next and the errors.
        strict: Likewise.
    """
    reading = READERS[dataset.name](root, dataset)
    problems = reading.findings.lines()
    if strict and problems:
        raise UserError(
            f'{"; ".join(problems)}; nothing was written, omit --strict to '
            'leave these clips out'
        )
    parts, empty = divide(reading, split)
    if not parts and reading.clips:
        raise UserError(
            f'no split of {dataset.title} has clips on both sides: '
            f'{len(reading.clips)} of its clips are in {root} '
            f'({"; ".join(problems + empty)}); add the others'
        )
    if not parts:
        raise UserError(
            f'no clip of {dataset.title} in {root} is both on disk and in '
            f'a list ({"; ".join(problems)}); unpack the archives again'
        )
    make_links(root, reading)
    prepared = Prepared(root / 'classes.txt', {}, root / 'videos')
    write_if_changed(prepared.classes, reading.classes)
    for number, sides in parts.items():
        for part, clips in zip(PARTS, sides, strict=True):
            path = root / f'{dataset.name}_{part}_split_{number}_videos.txt'
            write_list(path, clips, header_of(dataset, number, part))
            prepared.lists[number, part] = path
    prepared.lines = count_lines(dataset, reading, parts, prepared)
    prepared.lines += notes + empty + problems
    return prepared


def divide(reading: Reading, split: str):
    """The splits with clips on both sides, and a line about the others."""
    if split == 'paper':
        parts = {'paper': split_by_source(reading.clips)}
    else:
        parts = reading.splits
    whole = {number: sides for number, sides in parts.items() if all(sides)}
    lacking = [number for number in parts if number not in whole]
    lines = []
    if lacking:
        lines.append(
            f'not written, no clips on one side: split {", ".join(lacking)}'
        )
    return whole, lines


def header_of(dataset: Dataset, number: str, part: str) -> dict[str, str]:
    """Header of a list: data set, split and part."""
    split = f'official {number}' if number.isdecimal() else number
    header = dict(dataset=dataset.name, split=split, part=part)
    if number == 'paper':
        header['groups'] = (
            f'{dataset.groups}; 70 % of each class, chosen by sha256'
        )
    return header


def count_lines(
    dataset: Dataset, reading: Reading, parts, prepared: Prepared
) -> list[str]:
    """Clips per list, and the counts that differ from the published ones."""
    lines = []
    for number, sides in parts.items():
        published = dataset.published.get(number, (0, 0))
        for part, clips, wanted in zip(PARTS, sides, published, strict=True):
            line = f'{prepared.lists[number, part]}: {len(clips):,} clips'
            if wanted and wanted != len(clips):
                line += f' ({wanted:,} are published)'
            lines.append(line)
    total, source = dataset.total
    if len(reading.clips) != total:
        lines.append(
            f'{len(reading.clips):,} labelled clips; {total:,} are published '
            f'({source})'
        )
    if len(reading.classes) != dataset.num_classes:
        lines.append(
            f'{len(reading.classes)} classes; {dataset.num_classes} are '
            'published'
        )
    return lines


def make_links(root: Path, reading: Reading):
    """Make ``videos``, or the links in it; existing files stay."""
    for name, folder in reading.links.items():
        link = root / name
        if link.is_symlink() and not link.exists():
            link.unlink()  # its target is gone
        if not link.exists():
            link.parent.mkdir(exist_ok=True)
            parents = '../' * name.count('/')
            link.symlink_to(parents + folder, target_is_directory=True)


def write_list(path: Path, clips: list[Clip], header: dict[str, str]):
    """Write a list of clips; an equal file stays as it is."""
    listed = Annotations([(clip.name, clip.label) for clip in clips], header)
    fresh = path.with_name(path.name + '.new')
    write_annotations(fresh, listed)
    replace_if_changed(fresh, path)


def write_if_changed(path: Path, lines: list[str]):
    fresh = path.with_name(path.name + '.new')
    write_lines(fresh, lines)
    replace_if_changed(fresh, path)


def replace_if_changed(fresh: Path, path: Path):
    if path.is_file() and path.read_bytes() == fresh.read_bytes():
        fresh.unlink()
    else:
        fresh.replace(path)
