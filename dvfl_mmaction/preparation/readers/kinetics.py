"""Kinetics-400 as CVDF hosts it: clips by YouTube id, labels in CSV."""

import csv
from pathlib import Path

from ...errors import UserError
from ..catalogue import Dataset
from ..findings import Clip, Fault, Findings, Reading
from .disk import first_existing, index_names, list_files

VIDEOS = 'videos/'  # names in lists are relative to it
PLACES = ('', 'k400/')  # k400/ is used by CVDF's scripts
COLUMNS = {'label', 'youtube_id', 'time_start', 'time_end'}
REPLACEMENTS = 'replacement_for_corrupted_k400'


def read_k400(root: Path, dataset: Dataset) -> Reading:
    """The official training and validation parts.

    Clips may lie in the folder itself, or in one folder per class or per
    archive. A part in ``videos`` has precedence, since names in lists lead
    there; the folder beside it may hold archives. A replacement is used
    instead of the clip that it replaces.
    """
    links, findings = {}, Findings()
    replacements = {}
    for place in (VIDEOS, *PLACES, 'replacement/', 'k400/replacement/'):
        if (root / place / REPLACEMENTS).is_dir():
            replacements = index_folder(
                root, place + REPLACEMENTS, REPLACEMENTS, links, findings
            )
            break
    tables = {
        part: read_table(find_table(root, dataset, part))
        for part in ('train', 'val')
    }
    classes = sorted({row['label'] for row in tables['train']})
    labels = {name: label for label, name in enumerate(classes)}
    taken, parts = set(), []
    for part, table in tables.items():
        archive = next(a for a in dataset.archives if a.folder == part)
        place = VIDEOS + part
        if not (root / place).is_dir():
            folder = first_existing(
                root,
                [place + part for place in PLACES],
                f'put {archive.name} ({archive.about}, from {dataset.page}) '
                f'in {root}, or pass --download',
            )
            place = folder.relative_to(root).as_posix()
        on_disk = index_folder(root, place, part, links, findings)
        parts.append(
            match_rows(table, labels, on_disk, replacements, taken, findings)
        )
        for stem in sorted(on_disk.keys() - taken):
            findings.add(Fault.NOT_LISTED, on_disk[stem])
    clips = [*parts[0], *parts[1]]
    findings.add_empty_classes(classes, clips)
    return Reading(classes, clips, {'official': tuple(parts)}, findings, links)


def index_folder(
    root: Path, place: str, name: str, links: dict, findings: Findings
) -> dict[str, str]:
    """Id and times -> name in ``videos``; adds to the links to make."""
    if not place.startswith(VIDEOS):
        links[VIDEOS + name] = place
    files = list_files(root / place)
    return index_names([f'{name}/{file}' for file in files], findings)


def find_table(root: Path, dataset: Dataset, part: str) -> Path:
    names = [f'annotations/{part}.csv', f'{part}.csv']
    names += [f'k400/{name}' for name in names]
    if part == 'val':
        names += ['annotations/validate.csv', 'validate.csv']
    return first_existing(
        root,
        names,
        f'put {part}.csv (from {dataset.page}) there, or pass --download',
    )


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of label, youtube_id, time_start, time_end.

    Raises:
        UserError: If a column is missing, or a row is damaged.
    """
    with path.open(encoding='utf-8-sig', newline='') as file:
        table = csv.DictReader(file)
        try:
            if not COLUMNS.issubset(table.fieldnames or ()):
                raise UserError(
                    f'{path} has the columns {table.fieldnames}, but '
                    f'{", ".join(sorted(COLUMNS))} were expected; download '
                    'it again'
                )
            return [checked_row(path, table, row) for row in table]
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(
                f'{path} is not CSV in UTF-8 ({error}); download it again'
            ) from None


def checked_row(path: Path, table: csv.DictReader, row: dict) -> dict:
    """The row, if it has a value in every column, and times.

    Raises:
        UserError: If not, as in the last line of a file that was cut off.
    """
    try:
        stem_of(row)
        is_whole = None not in row.values() and row['label']
    except (OverflowError, TypeError, ValueError):
        is_whole = False
    if not is_whole:
        values = [text for text in row.values() if isinstance(text, str)]
        raise UserError(
            f'{path}, line {table.line_num}: {",".join(values)[:80]!r}, but '
            f'{", ".join(table.fieldnames)} were expected; the file is '
            'damaged, download it again'
        )
    return row


def stem_of(row: dict[str, str]) -> str:
    begin, end = (int(float(row[key])) for key in ('time_start', 'time_end'))
    return f'{row["youtube_id"]}_{begin:06d}_{end:06d}'


def match_rows(
    table: list[dict[str, str]],
    labels: dict[str, int],
    on_disk: dict[str, str],
    replacements: dict[str, str],
    taken: set[str],
    findings: Findings,
) -> list[Clip]:
    """Clips of a part; ``taken`` collects the listed ones."""
    clips = []
    for row in table:
        stem = stem_of(row)
        name = replacements.get(stem) or on_disk.get(stem)
        if stem in taken:
            findings.add(Fault.DUPLICATE, stem)
        elif row['label'] not in labels:
            findings.add(Fault.UNKNOWN_LABEL, f'{stem} {row["label"]!r}')
        elif name is None:
            findings.add(Fault.NOT_ON_DISK, stem)
        else:
            clips.append(Clip(name, labels[row['label']], row['youtube_id']))
        taken.add(stem)
    return clips
