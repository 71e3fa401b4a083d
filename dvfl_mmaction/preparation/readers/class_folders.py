"""Data sets with a folder a class: UCF50, UCF101 and HMDB51."""

import re
from pathlib import Path

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
    note_repeated,
    read_lines,
)

GROUP = re.compile(r'_g(\d+)_c\d+\.')
UCF50_GROUPS = 25
SPLITS = ('1', '2', '3')


def read_ucf50(root: Path, dataset: Dataset) -> Reading:
    """Leave one group out: split k tests on group k of every class.

    The catalogue names the classes, so that one that is missing does not
    shift the labels of the others. A file may spell its class otherwise
    than the folder does (Billiards/v_Billards_g01_c01.avi).
    """
    folder, links = find_folder(root, dataset)
    findings = Findings()
    clips = list_clips(folder, dataset.class_names, findings, ucf_group)
    numbers = {}
    for clip in clips:
        match = GROUP.search(clip.name)
        number = int(match[1]) if match else 0
        if 1 <= number <= UCF50_GROUPS:
            numbers[clip] = number
        else:
            findings.add(NOT_LISTED, clip.name)
    clips = list(numbers)
    splits = {
        str(k): (
            [clip for clip in clips if numbers[clip] != k],
            [clip for clip in clips if numbers[clip] == k],
        )
        for k in range(1, UCF50_GROUPS + 1)
    }
    classes = list(dataset.class_names)
    note_empty_classes(classes, clips, findings)
    return Reading(classes, clips, splits, findings, links)


def read_ucf101(root: Path, dataset: Dataset) -> Reading:
    """The three splits of ``ucfTrainTestlist``, classes from classInd."""
    folder, links = find_folder(root, dataset)
    lists = find_lists(root, dataset)
    pairs = [line.split() for line in read_lines(lists / 'classInd.txt')]
    labels = {name: int(number) - 1 for number, name in pairs}
    classes = sorted(labels, key=labels.get)
    if [labels[name] for name in classes] != list(range(len(classes))):
        raise UserError(
            f'{lists / "classInd.txt"} does not count its classes from 1 on; '
            'unpack its archive again'
        )
    findings = Findings()
    clips = list_clips(folder, classes, findings, ucf_group)
    by_name = {clip.name: clip for clip in clips}
    listed, splits = set(), {}
    for split in SPLITS:
        parts = []
        for part in ('trainlist', 'testlist'):
            lines = read_lines(lists / f'{part}{int(split):02d}.txt')
            names = []
            for name, *number in map(str.split, lines):
                label = labels.get(name.partition('/')[0])
                # Only the lists for training give a number.
                if label is None or (number and number != [str(label + 1)]):
                    findings.add(UNKNOWN_LABEL, ' '.join([name, *number]))
                    listed.add(name)
                else:
                    names.append(name)
            parts.append(names)
        splits[split] = pick(parts, by_name, listed, findings)
    note_unlisted(clips, listed, findings)
    note_empty_classes(classes, clips, findings)
    return Reading(classes, clips, splits, findings, links)


def read_hmdb51(root: Path, dataset: Dataset) -> Reading:
    """The three splits of ``testTrainMulti_7030_splits``.

    A file a class and split has a line ``name.avi tag`` a clip: 1 is for
    training, 2 for testing, 0 for neither.
    """
    folder, links = find_folder(root, dataset)
    lists = find_lists(root, dataset)
    findings = Findings()
    classes = list(dataset.class_names)
    clips = list_clips(folder, classes, findings, hmdb51_group)
    by_name = {clip.name: clip for clip in clips}
    listed, splits = set(), {}
    for split in SPLITS:
        parts = {'1': [], '2': []}
        ending = f'_test_split{split}.txt'
        files = {
            path.name.removesuffix(ending): path
            for path in lists.glob(f'*{ending}')
        }
        for class_name, path in sorted(files.items()):
            for line in read_lines(path):
                file, _, tag = line.rpartition(' ')
                name = f'{class_name}/{file.strip()}'
                if class_name not in classes or tag not in ('0', '1', '2'):
                    findings.add(UNKNOWN_LABEL, f'{class_name}/{line}')
                elif tag in parts:
                    parts[tag].append(name)
                elif name not in by_name:
                    findings.add(NOT_ON_DISK, name)
                listed.add(name)
        splits[split] = pick(list(parts.values()), by_name, listed, findings)
    note_unlisted(clips, listed, findings)
    note_empty_classes(classes, clips, findings)
    return Reading(classes, clips, splits, findings, links)


def find_folder(root: Path, dataset: Dataset) -> tuple[Path, dict[str, str]]:
    """The folder of classes, and the link to it that is to be made."""
    (archive,) = (a for a in dataset.archives if a.clips)
    if (root / 'videos').exists():
        return root / 'videos', {}
    folder = find(
        root,
        [archive.folder],
        f'put {archive.name} ({archive.about}, from {dataset.page}) in '
        f'{root}, or give --download',
    )
    return folder, {'videos': archive.folder}


def find_lists(root: Path, dataset: Dataset) -> Path:
    (archive,) = (a for a in dataset.archives if not a.clips)
    return find(
        root,
        [archive.folder],
        f'put {archive.name} ({archive.about}, from {dataset.page}) in '
        f'{root}, or give --download',
    )


def list_clips(folder: Path, classes, findings: Findings, group) -> list[Clip]:
    """The clips on disk in the folders of known classes."""
    names = list_files(folder)
    if not names:
        raise UserError(
            f'{folder} holds no clips; unpack the archive again, into a '
            'folder a class'
        )
    labels = {name: label for label, name in enumerate(classes)}
    clips = []
    for name in names:
        class_name = name.partition('/')[0]
        if class_name in labels:
            label = labels[class_name]
            clips.append(Clip(name, label, group(class_name, name)))
        else:
            findings.add(UNKNOWN_LABEL, name)
    note_repeated(names, findings)
    return clips


def ucf_group(class_name: str, name: str) -> str:
    """Source of v_Archery_g01_c03.avi: groups are counted a class."""
    match = GROUP.search(name)
    return f'{class_name}/g{int(match[1]):02d}' if match else name


def hmdb51_group(class_name: str, name: str) -> str:
    """Source of TheFilm_kick_f_cm_np1_le_med_0.avi, a film: TheFilm."""
    file = name.rpartition('/')[2]
    return file.rpartition(f'_{class_name}_')[0] or name


def pick(
    parts: list[list[str]],
    by_name: dict[str, Clip],
    listed: set[str],
    findings: Findings,
) -> tuple[list[Clip], list[Clip]]:
    """The clips of a split's (train, val), each where it is listed first."""
    taken, picked = set(), []
    for names in parts:
        clips = []
        for name in names:
            if name in taken:
                findings.add(DUPLICATE, name)
            elif name not in by_name:
                findings.add(NOT_ON_DISK, name)
            else:
                clips.append(by_name[name])
            taken.add(name)
        picked.append(clips)
    listed |= taken
    return tuple(picked)


def note_unlisted(clips: list[Clip], listed: set[str], findings: Findings):
    for clip in clips:
        if clip.name not in listed:
            findings.add(NOT_LISTED, clip.name)
