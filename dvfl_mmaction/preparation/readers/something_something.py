"""Something-Something V2: one folder, labels in JSON."""

import json
import re
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

FOLDERS = (
    'labels/',
    '',
    'annotations/',
    '20bn-something-something-download-package-labels/labels/',
    '20bn-something-something-download-package-labels/',
)


def read_ssv2(root: Path, dataset: Dataset) -> Reading:
    """The official training and validation parts.

    Both names that the label files had are taken (``labels.json``,
    ``something-something-v2-labels.json``).
    """
    videos, labels_archive = dataset.archives
    folder = find(
        root,
        ['videos', videos.folder],
        f'put {videos.name} ({videos.about}, from {dataset.page}) in {root}',
    )
    links = {'videos': videos.folder} if folder.name != 'videos' else {}
    wanted = (
        f'put {labels_archive.name} (from {dataset.page}) in {root}, or '
        f'{labels_archive.about} in {root / "labels"}'
    )
    labels = read_labels(find(root, names_of('labels'), wanted))
    findings = Findings()
    on_disk = {}
    for name in list_files(folder):
        number = PurePosixPath(name).stem
        if number in on_disk:
            findings.add(DUPLICATE, f'{on_disk[number]} = {name}')
        on_disk.setdefault(number, name)
    taken, parts = {}, []
    for part in ('train', 'validation'):
        path = find(root, names_of(part), wanted)
        parts.append(read_part(path, labels, on_disk, taken, findings))
    # The test part has no labels, but its clips are no strangers.
    test = [root / name for name in names_of('test')]
    known = set(taken)
    for path in filter(Path.is_file, test):
        known |= {str(entry['id']) for entry in read_json(path, list)}
    if any(path.is_file() for path in test):
        for number in sorted(on_disk.keys() - known):
            findings.add(NOT_LISTED, on_disk[number])
    classes = sorted(labels, key=labels.get)
    clips = [*parts[0], *parts[1]]
    note_empty_classes(classes, clips, findings)
    return Reading(classes, clips, {'official': tuple(parts)}, findings, links)


def names_of(part: str) -> list[str]:
    """Where a label file may be, in order of preference."""
    return [
        f'{folder}{prefix}{part}.json'
        for folder in FOLDERS
        for prefix in ('', 'something-something-v2-')
    ]


def read_json(path: Path, kind: type):
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (UnicodeDecodeError, ValueError) as error:
        raise UserError(
            f'{path} is no JSON ({error}); unpack its archive again'
        ) from None
    if not isinstance(content, kind):
        raise UserError(
            f'{path} holds a {type(content).__name__}, but a {kind.__name__} '
            'was wanted; unpack its archive again'
        )
    return content


def read_labels(path: Path) -> dict[str, int]:
    """Template without brackets -> label."""
    labels = {
        plain(text): int(number)
        for text, number in read_json(path, dict).items()
    }
    if sorted(labels.values()) != list(range(len(labels))):
        raise UserError(
            f'{path} does not count its classes from 0 on; unpack its '
            'archive again'
        )
    return labels


def plain(template: str) -> str:
    """'Opening [something]' -> 'Opening something'."""
    return re.sub(r'[\[\]]', '', template)


def read_part(
    path: Path,
    labels: dict[str, int],
    on_disk: dict[str, str],
    taken: dict[str, None],
    findings: Findings,
) -> list[Clip]:
    """The clips of a part; ``taken`` collects the ids that were listed."""
    clips = []
    for entry in read_json(path, list):
        number = str(entry.get('id'))
        label = labels.get(plain(str(entry.get('template'))))
        if number in taken:
            findings.add(DUPLICATE, f'{number}.webm')
        elif label is None:
            findings.add(
                UNKNOWN_LABEL, f'{number}.webm {entry.get("template")!r}'
            )
        elif number not in on_disk:
            findings.add(NOT_ON_DISK, f'{number}.webm')
        else:
            clips.append(Clip(on_disk[number], label, number))
        taken[number] = None
    return clips
