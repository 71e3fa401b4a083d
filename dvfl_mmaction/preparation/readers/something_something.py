"""Something-Something V2: one folder of clips, labels in JSON."""

import json
import re
from pathlib import Path

from ...errors import UserError
from ..catalogue import Dataset
from ..findings import Clip, Fault, Findings, Reading
from .disk import first_existing, index_names, list_files

FOLDERS = (
    'labels/',
    '',
    'annotations/',
    '20bn-something-something-download-package-labels/labels/',
    '20bn-something-something-download-package-labels/',
)


def read_ssv2(root: Path, dataset: Dataset) -> Reading:
    """The official training and validation parts.

    Label files may have either official name (``labels.json``,
    ``something-something-v2-labels.json``).
    """
    videos, labels_archive = dataset.archives
    folder = first_existing(
        root,
        ['videos', videos.folder],
        f'put {videos.name} ({videos.about}, from {dataset.page}) in {root}',
    )
    links = {'videos': videos.folder} if folder.name != 'videos' else {}
    remedy = (
        f'put {labels_archive.name} (from {dataset.page}) in {root}, or '
        f'{labels_archive.about} in {root / "labels"}'
    )
    labels = read_labels(first_existing(root, label_files('labels'), remedy))
    findings = Findings()
    on_disk = index_names(list_files(folder), findings)
    taken, parts = {}, []
    for part in ('train', 'validation'):
        path = first_existing(root, label_files(part), remedy)
        parts.append(read_label_file(path, labels, on_disk, taken, findings))
    # The test part has no labels, but its clips count as listed.
    test = [root / name for name in label_files('test')]
    known = set(taken)
    for path in filter(Path.is_file, test):
        known |= {str(entry['id']) for entry in read_entries(path)}
    if any(path.is_file() for path in test):
        for number in sorted(on_disk.keys() - known):
            findings.add(Fault.NOT_LISTED, on_disk[number])
    classes = sorted(labels, key=labels.get)
    clips = [*parts[0], *parts[1]]
    findings.add_empty_classes(classes, clips)
    return Reading(classes, clips, {'official': tuple(parts)}, findings, links)


def label_files(part: str) -> list[str]:
    """Possible paths of a label file, in order of preference."""
    return [
        f'{folder}{prefix}{part}.json'
        for folder in FOLDERS
        for prefix in ('', 'something-something-v2-')
    ]


def read_json(path: Path, kind: type):
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
    except (RecursionError, ValueError) as error:
        raise UserError(
            f'{path} is not JSON ({error}); unpack its archive again'
        ) from None
    if not isinstance(content, kind):
        raise UserError(
            f'{path} holds a {type(content).__name__}, but a {kind.__name__} '
            'was expected; unpack its archive again'
        )
    return content


def read_labels(path: Path) -> dict[str, int]:
    """Template without brackets -> label."""
    labels = {
        strip_brackets(text): str(number)
        for text, number in read_json(path, dict).items()
    }
    if set(labels.values()) != set(map(str, range(len(labels)))):
        raise UserError(
            f'{path} does not number its classes from 0; unpack its '
            'archive again'
        )
    return {text: int(number) for text, number in labels.items()}


def read_entries(path: Path) -> list[dict]:
    """The clips that a label file lists; each has an id.

    Raises:
        UserError: If an entry is no object, or has none.
    """
    entries = read_json(path, list)
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or 'id' not in entry:
            raise UserError(
                f'{path}, entry {number}: {repr(entry)[:40]}, but an object '
                'with an id was expected; unpack its archive again'
            )
    return entries


def strip_brackets(template: str) -> str:
    """'Opening [something]' -> 'Opening something'."""
    return re.sub(r'[\[\]]', '', template)


def read_label_file(
    path: Path,
    labels: dict[str, int],
    on_disk: dict[str, str],
    taken: dict[str, None],
    findings: Findings,
) -> list[Clip]:
    """Clips of a part; ``taken`` collects the listed ids."""
    clips = []
    for entry in read_entries(path):
        number = str(entry['id'])
        label = labels.get(strip_brackets(str(entry.get('template'))))
        if number in taken:
            findings.add(Fault.DUPLICATE, f'{number}.webm')
        elif label is None:
            findings.add(
                Fault.UNKNOWN_LABEL, f'{number}.webm {entry.get("template")!r}'
            )
        elif number not in on_disk:
            findings.add(Fault.NOT_ON_DISK, f'{number}.webm')
        else:
            clips.append(Clip(on_disk[number], label, number))
        taken[number] = None
    return clips
