"""The lists of a data set's root, and the clips that they name."""

import re
from collections.abc import Callable
from pathlib import Path

from ...datasets.annotations import (
    Annotations,
    read_annotations,
    read_text,
    write_annotations,
)
from ...errors import UserError
from ..checksums import RECORD

CHECKED = '_checked'  # ends the stem of a list that check_clips wrote
BROKEN = r'([0-9]+) broken'  # in the header of a checked list
NO_LISTS = ('classes.txt', RECORD)
VIDEOS = 'videos'


def read_lists(root: Path, checked: bool = False) -> dict[Path, Annotations]:
    """The lists ``*.txt`` of a data set's root, by path, sorted.

    Hidden files are none: macOS puts a ``._train.txt`` beside ``train.txt``.

    Args:
        root: Holds the lists and ``videos/``, maybe ``classes.txt`` and
            ``checksums.txt``.
        checked: Whether to include ``X_checked.txt``.

    Raises:
        UserError: If there is no list or no ``videos/``, or a text file is
            not a list.
    """
    paths = [
        path
        for path in sorted(root.glob('*.txt'))
        if path.name not in NO_LISTS
        and not path.name.startswith('.')
        and (checked or not path.stem.endswith(CHECKED))
    ]
    if not paths:
        raise UserError(
            f'{root} holds no list of clips; give the folder of a prepared '
            f'data set, with lists *.txt and {VIDEOS}/'
        )
    if not (root / VIDEOS).is_dir():
        raise UserError(
            f'{root / VIDEOS} not found; put the clips that the lists of '
            f'{root} name in it'
        )
    return {
        path: (read_checked if path.stem.endswith(CHECKED) else read_list)(
            path
        )
        for path in paths
    }


def read_checked(path: Path) -> Annotations:
    """Read a checked list, which is empty if all its clips are broken.

    Raises:
        UserError: As :func:`read_list`.
    """
    header = {}
    for line in read_text(path).splitlines():
        key, colon, value = line.partition(': ')
        if not colon or not key.startswith('# '):
            return read_list(path)
        header[key[2:]] = value
    return Annotations([], header) if 'checked' in header else read_list(path)


def read_list(path: Path) -> Annotations:
    """Read a list with one label per clip or, if not, with several.

    Clips without a label (-1) are accepted unless the list is for testing:
    its header or its name says ``val`` or ``test``.

    Raises:
        UserError: If it is neither. A list of frame folders is none: its
            names have no suffix.
    """
    try:
        read = read_annotations(path, unlabelled=True)
        # Read again, with the error of a clip without a label.
        return read_annotations(path) if is_for_testing(path, read) else read
    except UserError as error:
        try:
            several = read_annotations(path, multi_class=True)
        except UserError:
            raise error from None
        if not all(Path(name).suffix for name, _ in several.clips):
            raise
        return several


def is_for_testing(path: Path, annotations: Annotations) -> bool:
    """Whether a list is of clips to validate or test on."""
    part = annotations.header.get('part') or path.stem
    return re.match(r'(val|test)', part, re.IGNORECASE) is not None


def named_clips(lists: dict[Path, Annotations]) -> list[str]:
    """Names of all clips of the lists, each once, in order."""
    names = (name for part in lists.values() for name, _ in part.clips)
    return list(dict.fromkeys(names))


def left_out_by_check(lists: dict[Path, Annotations]) -> list[str]:
    """Names of the clips that a check left out of ``X_checked.txt``.

    Args:
        lists: Of a root, with the checked ones.

    Raises:
        UserError: If a checked list is of an older version of its list.
    """
    left_out = {}
    for path, annotations in lists.items():
        checked = lists.get(path.with_stem(path.stem + CHECKED))
        if checked is None:
            continue
        kept, known = dict(checked.clips), dict(annotations.clips)
        missing = [n for n, _ in annotations.clips if n not in kept]
        broken = re.search(BROKEN, checked.header.get('checked', ''))
        changed = any(known.get(n) != label for n, label in kept.items())
        # Fewer may be missing: a packed list lacks broken clips, too.
        if changed or (broken and len(missing) > int(broken[1])):
            raise UserError(
                f'{path} has changed since {path.stem}{CHECKED}.txt was '
                'written from it; check the clips again with '
                'tools/prepare_dataset.py --check, or remove the checked list'
            )
        left_out |= dict.fromkeys(missing)
    return list(left_out)


def write_kept(
    path: Path,
    annotations: Annotations,
    kept: dict[str, str],
    describe_removed: Callable[[int], dict[str, str]],
) -> int:
    """Write a list with the clips in ``kept`` only, under their new names.

    Args:
        path: The new list.
        annotations: The list to copy.
        kept: New name of each clip that is kept, by its name.
        describe_removed: Returns what to add to the header; gets the number
            of clips that are left out.

    Returns:
        The number of clips left out.
    """
    clips = [
        (kept[name], label)
        for name, label in annotations.clips
        if name in kept
    ]
    removed = len(annotations.clips) - len(clips)
    header = annotations.header | describe_removed(removed)
    write_annotations(path, Annotations(clips, header))
    return removed
