"""Data sets with one folder per class: UCF50, UCF101 and HMDB51."""

import re
from collections.abc import Callable
from pathlib import Path

from ...errors import UserError
from ..catalogue import Archive, Dataset
from ..findings import Clip, Fault, Findings, Reading
from .disk import first_existing, index_names, list_files, read_lines

GROUP = re.compile(r'_g(\d+)_c\d+\.')
UCF50_GROUPS = 25
OFFICIAL_SPLITS = ('1', '2', '3')


def read_ucf50(root: Path, dataset: Dataset) -> Reading:
    """Leave one group out: split k tests on group k of every class.

    The classes come from the catalogue, so a missing class does not shift
    the labels of the others. A file name may spell its class differently
    from the folder (Billiards/v_Billards_g01_c01.avi).
    """
    folder, links = find_folder(root, dataset)
    findings = Findings()
    stored = list_clips(folder, dataset.class_names, findings, ucf_group)
    clips = once_each(stored, dataset.class_names, findings, ucf_name_fits)
    numbers = {}
    for clip in clips:
        match = GROUP.search(clip.name)
        number = int(match[1]) if match else 0
        if 1 <= number <= UCF50_GROUPS:
            numbers[clip] = number
        else:
            findings.add(Fault.NOT_LISTED, clip.name)
    clips = list(numbers)
    splits = {
        str(k): (
            [clip for clip in clips if numbers[clip] != k],
            [clip for clip in clips if numbers[clip] == k],
        )
        for k in range(1, UCF50_GROUPS + 1)
    }
    classes = list(dataset.class_names)
    findings.add_empty_classes(classes, clips)
    return Reading(classes, clips, splits, findings, links)


def read_ucf101(root: Path, dataset: Dataset) -> Reading:
    """The three splits of ``ucfTrainTestlist``; classInd has the classes."""
    folder, links = find_folder(root, dataset)
    lists = find_lists(root, dataset)
    labels = read_class_index(lists / 'classInd.txt')
    classes = sorted(labels, key=labels.get)
    findings = Findings()
    stored = list_clips(folder, classes, findings, ucf_group)
    clips = once_each(stored, classes, findings, ucf_name_fits)
    by_name = {clip.name: clip for clip in stored}
    listed, splits = set(), {}
    for split in OFFICIAL_SPLITS:
        parts = []
        for part in ('trainlist', 'testlist'):
            lines = read_lines(lists / f'{part}{int(split):02d}.txt')
            names = []
            for name, *number in map(str.split, lines):
                label = labels.get(name.partition('/')[0])
                # Only the training lists give a number.
                if label is None or (number and number != [str(label + 1)]):
                    findings.add(
                        Fault.UNKNOWN_LABEL, ' '.join([name, *number])
                    )
                    listed.add(name)
                else:
                    names.append(name)
            parts.append(names)
        splits[split] = select_split(parts, by_name, listed, findings)
    clips = listed_only(clips, listed, findings)
    findings.add_empty_classes(classes, clips)
    return Reading(classes, clips, splits, findings, links)


def read_class_index(path: Path) -> dict[str, int]:
    """Class -> label, from lines of a number, from 1, and a class.

    Raises:
        UserError: If a line is another, or the numbers have gaps.
    """
    labels = {}
    for line in read_lines(path):
        number, *names = line.split()
        if not number.isdecimal() or len(names) != 1:
            raise UserError(
                f'{path} has the line {line[:80]!r}, but a number and a class '
                'were expected; unpack its archive again'
            )
        labels[names[0]] = int(number) - 1
    if sorted(labels.values()) != list(range(len(labels))):
        raise UserError(
            f'{path} does not number its classes from 1; unpack its archive '
            'again'
        )
    return labels


def read_hmdb51(root: Path, dataset: Dataset) -> Reading:
    """The three splits of ``testTrainMulti_7030_splits``.

    There is one file per class and split, with a line ``name.avi tag`` per
    clip. Tag 1 is for training, 2 for testing, 0 for neither.
    """
    folder, links = find_folder(root, dataset)
    lists = find_lists(root, dataset)
    findings = Findings()
    classes = list(dataset.class_names)
    stored = list_clips(folder, classes, findings, hmdb51_group)
    clips = once_each(stored, classes, findings, hmdb51_name_fits)
    by_name = {clip.name: clip for clip in stored}
    listed, splits = set(), {}
    for split in OFFICIAL_SPLITS:
        parts = {'1': [], '2': []}
        ending = f'_test_split{split}.txt'
        files = {
            path.name.removesuffix(ending): path
            for path in lists.glob(f'*{ending}')
            if not path.name.startswith('.')  # macOS's, of no text
        }
        for class_name, path in sorted(files.items()):
            for line in read_lines(path):
                file, _, tag = line.rpartition(' ')
                name = f'{class_name}/{file.strip()}'
                if class_name not in classes or tag not in ('0', '1', '2'):
                    findings.add(Fault.UNKNOWN_LABEL, f'{class_name}/{line}')
                elif tag in parts:
                    parts[tag].append(name)
                elif name not in by_name:
                    findings.add(Fault.NOT_ON_DISK, name)
                listed.add(name)
        splits[split] = select_split(
            list(parts.values()), by_name, listed, findings
        )
    clips = listed_only(clips, listed, findings)
    findings.add_empty_classes(classes, clips)
    return Reading(classes, clips, splits, findings, links)


def find_folder(root: Path, dataset: Dataset) -> tuple[Path, dict[str, str]]:
    """The folder of classes, and the link to make to it."""
    (archive,) = (a for a in dataset.archives if a.clips)
    if (root / 'videos').exists():
        return root / 'videos', {}
    return find_unpacked(root, dataset, archive), {'videos': archive.folder}


def find_lists(root: Path, dataset: Dataset) -> Path:
    (archive,) = (a for a in dataset.archives if not a.clips)
    return find_unpacked(root, dataset, archive)


def find_unpacked(root: Path, dataset: Dataset, archive: Archive) -> Path:
    return first_existing(
        root,
        [archive.folder],
        f'put {archive.name} ({archive.about}, from {dataset.page}) in '
        f'{root}, or pass --download',
    )


def list_clips(folder: Path, classes, findings: Findings, group) -> list[Clip]:
    """The clips on disk in the folders of known classes."""
    names = list_files(folder)
    if not names:
        raise UserError(
            f'{folder} holds no clips; unpack the archive again, into one '
            'folder per class'
        )
    labels = {name: label for label, name in enumerate(classes)}
    clips = []
    for name in names:
        class_name = name.partition('/')[0]
        if class_name in labels:
            label = labels[class_name]
            clips.append(Clip(name, label, group(class_name, name)))
        else:
            findings.add(Fault.UNKNOWN_LABEL, name)
    return clips


def once_each(
    clips: list[Clip],
    classes,
    findings: Findings,
    fits: Callable[[str, str], bool],
) -> list[Clip]:
    """One clip per file name, and the others as findings.

    The file is kept whose class folder fits its name, and of several such
    files the one that lies directly in the folder.

    Args:
        clips: All clips on disk, sorted by name.
        classes: Names by label.
        findings: Gets the clips that are left out.
        fits: Whether a file name is that of a clip of a class.
    """

    def preference(clip):
        *folders, file = clip.name.split('/')
        class_name = classes[clip.label]
        # The longest: of sword and draw_sword, the latter.
        fit = len(class_name) if fits(class_name, file) else 0
        return -fit, len(folders)

    names = [clip.name for clip in sorted(clips, key=preference)]
    kept = set(index_names(names, findings, 'name').values())
    return [clip for clip in clips if clip.name in kept]


def ucf_name_fits(class_name: str, file: str) -> bool:
    """HandstandPushups fits v_HandStandPushups_g01_c01.avi."""
    return file.lower().startswith(f'v_{class_name}_g'.lower())


def hmdb51_name_fits(class_name: str, file: str) -> bool:
    """Whether the class stands before the body part and the camera."""
    pattern = rf'_{re.escape(class_name)}_[fhlu]_[cn]m_np\d'
    return re.search(pattern, file) is not None


def ucf_group(class_name: str, name: str) -> str:
    """Source of v_Archery_g01_c03.avi; each class counts its groups."""
    match = GROUP.search(name)
    return f'{class_name}/g{int(match[1]):02d}' if match else name


def hmdb51_group(class_name: str, name: str) -> str:
    """Source of TheFilm_kick_f_cm_np1_le_med_0.avi: the film, TheFilm."""
    file = name.rpartition('/')[2]
    return file.rpartition(f'_{class_name}_')[0] or name


def select_split(
    parts: list[list[str]],
    by_name: dict[str, Clip],
    listed: set[str],
    findings: Findings,
) -> tuple[list[Clip], list[Clip]]:
    """Clips of (train, val), each on the side that lists it first."""
    taken, picked = set(), []
    for names in parts:
        clips = []
        for name in names:
            if name in taken:
                findings.add(Fault.DUPLICATE, name)
            elif name not in by_name:
                findings.add(Fault.NOT_ON_DISK, name)
            else:
                clips.append(by_name[name])
            taken.add(name)
        picked.append(clips)
    listed |= taken
    return tuple(picked)


def listed_only(
    clips: list[Clip], listed: set[str], findings: Findings
) -> list[Clip]:
    """The clips that a list names, and the others as findings.

    The source of another file is unknown: it may be a copy of a clip under
    another name, and would stand on both sides of the paper split.
    """
    for clip in clips:
        if clip.name not in listed:
            findings.add(Fault.NOT_LISTED, clip.name)
    return [clip for clip in clips if clip.name in listed]
