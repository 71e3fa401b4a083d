"""Kinetics-400 as CVDF hosts it: clips by YouTube id, labels in CSV."""

import csv
from pathlib import Path, PurePosixPath

from ...errors import UserError
from ..catalogue import Dataset
from ..findings import (
    DUPLICATE,
    NOT_LISTED,
    NOT_ON_DISK,
    UNKNOWN_LABEL,
    Clip,
    Findings,
    Reading,
    find,
    list_files,
    note_empty_classes,
)

# Where CVDF's own scripts put things, too.
PLACES = ('', 'k400/', 'videos/')
REPLACEMENTS = 'replacement_for_corrupted_k400'


def read_k400(root: Path, dataset: Dataset) -> Reading:
    """The official training and validation parts.

    Clips may lie flat or in folders, of a class or of an archive. A
    replacement is taken instead of the clip that it stands for.
    """
    links, findings = {}, Findings()
    replacements = {}
    for place in (*PLACES, 'replacement/', 'k400/replacement/'):
        if (root / place / REPLACEMENTS).is_dir():
            replacements = index(
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
        folder = find(
            root,
            [place + part for place in PLACES],
            f'put {archive.name} ({archive.about}, from {dataset.page}) in '
            f'{root}, or give --download',
        )
        place = folder.relative_to(root).as_posix()
        on_disk = index(root, place, part, links, findings)
        parts.append(
            read_part(table, labels, on_disk, replacements, taken, findings)
        )
        for stem in sorted(on_disk.keys() - taken):
            findings.add(NOT_LISTED, on_disk[stem])
    clips = [*parts[0], *parts[1]]
    note_empty_classes(classes, clips, findings)
    return Reading(classes, clips, {'official': tuple(parts)}, findings, links)


def index(
    root: Path, place: str, name: str, links: dict, findings: Findings
) -> dict[str, str]:
    """Clips by id and times -> name in ``videos``, which may get a link."""
    if not place.startswith('videos/') or (root / place).is_symlink():
        links[f'videos/{name}'] = place
    found = {}
    for file in list_files(root / place):
        stem = PurePosixPath(file).stem
        if stem in found:
            findings.add(DUPLICATE, f'{found[stem]} = {name}/{file}')
        found.setdefault(stem, f'{name}/{file}')
    return found


def find_table(root: Path, dataset: Dataset, part: str) -> Path:
    names = [f'annotations/{part}.csv', f'{part}.csv']
    names += [f'k400/{name}' for name in names]
    if part == 'val':
        names += ['annotations/validate.csv', 'validate.csv']
    return find(
        root,
        names,
        f'put {part}.csv (from {dataset.page}) there, or give --download',
    )


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of label, youtube_id, time_start, time_end."""
    wanted = {'label', 'youtube_id', 'time_start', 'time_end'}
    with path.open(encoding='utf-8', newline='') as file:
        table = csv.DictReader(file)
        if not wanted <= set(table.fieldnames or ()):
            raise UserError(
                f'{path} has the columns {table.fieldnames}, but '
                f'{", ".join(sorted(wanted))} were wanted; fetch it again'
            )
        return list(table)


def stem_of(row: dict[str, str]) -> str:
    begin, end = (int(float(row[key])) for key in ('time_start', 'time_end'))
    return f'{row["youtube_id"]}_{begin:06d}_{end:06d}'


def read_part(
    table: list[dict[str, str]],
    labels: dict[str, int],
    on_disk: dict[str, str],
    replacements: dict[str, str],
    taken: set[str],
    findings: Findings,
) -> list[Clip]:
    """The clips of a part; ``taken`` collects those that were listed."""
    clips = []
    for row in table:
        stem = stem_of(row)
        name = replacements.get(stem) or on_disk.get(stem)
        if stem in taken:
            findings.add(DUPLICATE, stem)
        elif row['label'] not in labels:
            findings.add(UNKNOWN_LABEL, f'{stem} {row["label"]!r}')
        elif name is None:
            findings.add(NOT_ON_DISK, stem)
        else:
            clips.append(Clip(name, labels[row['label']], row['youtube_id']))
        taken.add(stem)
    return clips
