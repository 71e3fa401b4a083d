"""The lists of a data set's root, and the clips that they name."""

from pathlib import Path

from ...datasets.annotations import Annotations, read_annotations
from ...errors import UserError

CHECKED = '_checked'  # ends the stem of a list that check_clips wrote
NO_LISTS = ('classes.txt',)
VIDEOS = 'videos'


def read_lists(root: Path, checked: bool = False) -> dict[Path, Annotations]:
    """The lists ``*.txt`` of a data set's root, by path, sorted.

    Args:
        root: Holds the lists, ``classes.txt`` and ``videos/``.
        checked: Whether to take ``X_checked.txt`` as well.

    Raises:
        UserError: If there is no list or no ``videos/``, or a text file is
            no list.
    """
    paths = [
        path
        for path in sorted(root.glob('*.txt'))
        if path.name not in NO_LISTS
        and (checked or not path.stem.endswith(CHECKED))
    ]
    if not paths:
        raise UserError(
            f'{root} holds no list of clips; give the folder of a prepared '
            f'data set, with lists *.txt and {VIDEOS}/'
        )
    if not (root / VIDEOS).is_dir():
        raise UserError(
            f'{root / VIDEOS} is not there; put the clips that the lists of '
            f'{root} name in it'
        )
    return {path: read_annotations(path) for path in paths}


def named_clips(lists: dict[Path, Annotations]) -> list[str]:
    """Names of all clips of the lists, each once, in order."""
    names = (name for part in lists.values() for name, _ in part.clips)
    return list(dict.fromkeys(names))


def stamp(path: Path) -> dict:
    """Size and time of a file: another stamp means another content.

    A file that is not there has a stamp too, which no file has.
    """
    try:
        status = path.stat()
    except OSError:
        return dict(size=-1, mtime_ns=0)
    return dict(size=status.st_size, mtime_ns=status.st_mtime_ns)


def some_names(names: list[str], shown: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f' and {len(names) - shown} more' if len(names) > shown else ''
    return ', '.join(names[:shown]) + more
