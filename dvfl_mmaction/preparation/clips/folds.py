"""Lists for cross-validation, where every clip is tested once."""

import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)
from ...datasets.class_names import CLASSES
from ...errors import UserError
from ...files import file_id, write_whole
from ..findings import preview
from .clip_lists import CHECKED, VIDEOS, left_out_by_check, read_lists

NO_LABEL = -1
TRAIN = ('train_dataloader.dataset.ann_file',)
TEST = (
    'val_dataloader.dataset.ann_file',
    'test_dataloader.dataset.ann_file',
)


@dataclass
class Folds:
    """What :func:`make_folds` wrote.

    Attributes:
        clips: Labelled clips, each tested in one fold.
        unlabelled: Clips without a label, in the training of every fold.
        left_out: Broken clips, by ``X_checked.txt``; in no fold.
        tested: Test clips per fold.
        files: The JSON files for ``tools/ablate.py --vary``.
        repeated: Clips that the lists also name otherwise; used once.
    """

    clips: int
    unlabelled: int
    left_out: list[str]
    tested: list[int]
    files: list[Path] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """A report for the terminal."""
        sizes = ', '.join(map(str, self.tested))
        text = f'{self.clips} clips in {len(self.tested)} folds of {sizes}'
        if self.unlabelled:
            text += f', and {self.unlabelled} without a label in all trainings'
        lines = [text]
        if self.repeated:
            lines.append(
                f'used once: {len(self.repeated)} clips that the lists give a '
                f'second name: {preview(self.repeated)}'
            )
        if self.left_out:
            lines.append(
                f'left out {len(self.left_out)} clips that are not in '
                f'*{CHECKED}.txt: {preview(self.left_out)}'
            )
        return [*lines, *(f'wrote {path}' for path in self.files)]


def make_folds(root: Path, count: int, labelled: int | None = None) -> Folds:
    """Write the lists of a cross-validation over all clips of a data set.

    The clips of each class are cut into ``count`` blocks in the order of
    their paths, with numbers compared as numbers. A fold tests one block of
    each class and trains on the others. Neighbours in that order, such as
    the segments of one recording, so meet in training and test only at the
    ends of a block.

    Args:
        root: Holds the lists of clips, which are joined, and ``videos/``.
            Clips that a list's ``X_checked.txt`` lacks are left out.
        count: Folds, 2 or more.
        labelled: Also write lists where this number of training clips of
            each class keeps its label, evenly spread over the blocks:
            ``folds/labels_N`` with the others as -1, and ``folds/only_N``
            without them.

    Existing lists of the same folds are kept, such as those of another
    ``labelled``.

    Raises:
        UserError: If a class has fewer clips than folds or a training list
            fewer than ``labelled``, a clip has several labels, an argument
            is out of range, a list has changed since its check, or
            ``folds/`` holds lists of other folds.
    """
    if count < 2:
        raise UserError(f'{count} folds; give 2 or more')
    if labelled is not None and labelled < 1:
        raise UserError(f'{labelled} labels per class; give 1 or more')
    label_of, left_out, repeated = join_labels(root)
    free = [n for n, label in label_of.items() if label == NO_LABEL]
    blocks = blocks_of(label_of, count)
    parts = [{} for _ in range(count)]  # fold -> tested clips by class
    for turn, label in enumerate(sorted(blocks)):
        for i, block in enumerate(blocks[label]):
            # In turns, so that no fold gets all of the larger blocks.
            parts[(i + turn) % count][label] = block
    lists = {}  # path below folds/ -> clips
    for fold, tested in enumerate(parts, 1):
        outside = {name for block in tested.values() for name in block}
        clips = {True: [], False: []}
        for name, label in label_of.items():
            clips[name in outside].append((name, label))
        lists[f'test_{fold}.txt'] = clips[True]
        variants = trainings(clips[False], labelled, fold)
        for variant, chosen in variants.items():
            lists[f'{variant}/train_{fold}.txt'] = chosen
    folder = root / 'folds'
    check_same_folds(folder, lists, count)
    for name, clips in lists.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part, _, fold = path.stem.partition('_')
        header = {'fold': f'{fold} of {count}', 'part': part}
        write_annotations(path, Annotations(clips, header))
    copy_class_names(root, {(folder / name).parent for name in lists})
    files = [write_options(folder, variant, count) for variant in variants]
    tested = [sum(map(len, part.values())) for part in parts]
    return Folds(sum(tested), len(free), left_out, tested, files, repeated)


def copy_class_names(root: Path, folders: Iterable[Path]):
    """Copy the names of the classes, if any, beside lists in folders."""
    names = root / CLASSES
    if names.is_file():
        for folder in folders:
            write_whole(folder / CLASSES, names.read_bytes())


def check_same_folds(folder: Path, lists: dict[str, list], count: int):
    """Check that the lists of a folder are those of the folds to write.

    All variants share the test lists. Training lists of other folds, from
    an earlier run or made by hand, would hold clips of the new test lists.
    A variant with test lists of its own is ignored.

    Args:
        folder: Holds the lists.
        lists: Clips of each list to write, by its path below the folder.
        count: Folds.

    Raises:
        UserError: If a list to write exists with other clips, or another
            list is for more folds or trains on clips that its fold tests.
    """
    for path in sorted([*folder.glob('*.txt'), *folder.glob('*/*.txt')]):
        if difference := find_difference(folder, path, lists, count):
            raise UserError(
                f'{path} {difference}: {folder} holds other folds than the '
                f'{count} to write; rename or remove that folder, and rerun '
                'the command'
            )


def find_difference(
    folder: Path, path: Path, lists: dict[str, list], count: int
) -> str:
    """How a list contradicts the folds to write; '' if it does not."""
    part, _, fold = path.stem.partition('_')
    if part not in ('test', 'train') or not fold.isdecimal():
        return ''
    shared = folder / f'test_{int(fold)}.txt'
    own = path.with_name(shared.name)
    if own != shared and own.is_file():
        return ''
    if int(fold) not in range(1, count + 1):
        return f'is for fold {fold}'
    clips = read_annotations(path, unlabelled=True).clips
    if part == 'train':
        tested = {name for name, _ in lists[shared.name]}
        for name, _ in clips:
            if name in tested:
                return f'trains on {name}, which the new {shared.name} tests'
    wanted = lists.get(path.relative_to(folder).as_posix(), clips)
    return '' if clips == wanted else 'has other clips or labels'


def join_labels(root: Path) -> tuple[dict[str, int], list[str], list[str]]:
    """The label of every clip of the lists of a root, in natural order.

    Also returns the clips that a check found broken, which are left out,
    and those with several names: under a second one, a clip that a fold
    tests would stand in its training, too.
    """
    label_of, first_names, repeated = {}, {}, {}
    lists = read_lists(root, checked=True)
    for path, annotations in lists.items():
        for name, label in annotations.clips:
            if isinstance(label, list):
                raise UserError(
                    f'{path}: {name} may have several labels; folds need one '
                    'label per clip'
                )
    left_out = left_out_by_check(lists)
    for path, annotations in read_lists(root).items():
        for listed, label in annotations.clips:
            name = first_names.setdefault(clip_id(root, listed), listed)
            if name != listed:
                repeated[name] = None
            known = label_of.setdefault(name, label)
            if known != label and NO_LABEL not in (known, label):
                raise UserError(
                    f'{path}: {listed} has label {label}, and {known} in '
                    'another list; correct one of them'
                )
            label_of[name] = max(known, label)
    broken = {first_names.get(clip_id(root, name)) for name in left_out}
    names = sorted(label_of.keys() - broken, key=natural)
    repeated = sorted(repeated.keys() - broken, key=natural)
    return {name: label_of[name] for name in names}, left_out, repeated


def clip_id(root: Path, name: str):
    """What all names of a clip have in common: its file, wherever it is."""
    return file_id(root / VIDEOS / name) or posixpath.normpath(name)


def natural(name: str) -> tuple:
    """Sort key of a path: text as text, numbers as numbers."""
    parts = re.split(r'([0-9]+)', name)
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], name


def blocks_of(label_of: dict[str, int], count: int) -> dict[int, list]:
    """Each class's clips, cut into ``count`` blocks of neighbours."""
    classes = defaultdict(list)
    for name, label in label_of.items():
        if label != NO_LABEL:
            classes[label].append(name)
    few = [k for k, names in classes.items() if len(names) < count]
    if few or not classes:
        what = 'no clip has a label'
        if few:
            clips = len(classes[few[0]])
            what = f'class {few[0]} has {clips} clips for {count} folds'
        raise UserError(f'{what}; give fewer folds, or more clips')
    return {
        label: [list(block) for block in np.array_split(names, count)]
        for label, names in classes.items()
    }


def trainings(
    clips: list[tuple[str, int]], labelled: int | None, fold: int
) -> dict[str, list]:
    """The training clips of a fold, by the name of their folder."""
    lists = {'all': clips}
    if labelled:
        kept = spread(clips, labelled, fold)
        lists[f'labels_{labelled}'] = [
            (name, label if name in kept else NO_LABEL)
            for name, label in clips
        ]
        lists[f'only_{labelled}'] = [c for c in clips if c[0] in kept]
    return lists


def spread(clips: list[tuple[str, int]], labelled: int, fold: int) -> set[str]:
    """``labelled`` clips of each class, at even distances."""
    classes = defaultdict(list)
    for name, label in clips:
        if label != NO_LABEL:
            classes[label].append(name)
    kept = set()
    for label, names in classes.items():
        if len(names) < labelled:
            raise UserError(
                f'class {label} has {len(names)} training clips in fold '
                f'{fold}, fewer than {labelled}; give fewer labels per class'
            )
        # The middles of `labelled` equal parts.
        step = len(names) / labelled
        kept |= {names[int((i + 0.5) * step)] for i in range(labelled)}
    return kept


def write_options(folder: Path, variant: str, count: int) -> Path:
    """Write the options of all folds, for ``tools/ablate.py --vary``."""
    options = {
        str(fold): dict.fromkeys(TRAIN, f'folds/{variant}/train_{fold}.txt')
        | dict.fromkeys(TEST, f'folds/test_{fold}.txt')
        for fold in range(1, count + 1)
    }
    path = folder / variant / 'folds.json'
    write_whole(path, json.dumps(options, indent=2) + '\n')
    return path
