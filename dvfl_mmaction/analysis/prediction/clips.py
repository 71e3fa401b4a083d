"""Find the clips that files, folders, patterns and lists name."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...datasets.annotations import NO_LABEL, parse_line, read_text
from ...errors import UserError
from ...files import normal_path
from ..text import printable

# Of the files of a folder, these are videos. A file that is named is always
# read.
SUFFIXES = {
    *('.mp4', '.avi', '.mkv', '.webm', '.mov', '.m4v', '.mpg', '.mpeg'),
    *('.wmv', '.flv', '.ts', '.mts', '.m2ts', '.3gp', '.ogv'),
}
LIST_SUFFIX = '.txt'


@dataclass(frozen=True)
class Clip:
    """A video to predict.

    Attributes:
        path: Its file.
        name: The path as the user or a list gives it, for reports.
        label: Its class; None if unknown.
    """

    path: Path
    name: str
    label: int | None = None


def find_clips(
    words: Iterable[str],
    root: str | None = None,
    excluded: Path | None = None,
) -> list[Clip]:
    """Find the clips of a command line, each once, in order.

    Args:
        words: Videos, folders (searched recursively), patterns such as
            ``'clips/*.mp4'``, and lists (``.txt``) with a line
            ``path [label]`` per clip.
        root: Folder of the paths in lists. By default that of the list, or
            ``videos`` in it, as the project's data sets have it.
        excluded: A folder whose videos are left out: that of the outputs.

    Raises:
        UserError: If a word names nothing, a line of a list is malformed,
            or there is no clip.
    """
    words, found = list(words), {}
    for word in words:
        for clip in expand(word, root):
            if not excluded or not is_inside(clip.path, excluded):
                found.setdefault(normal_path(clip.path), clip)
    if not found:
        besides = f' outside {excluded}' if excluded else ''
        raise UserError(
            f'no video found in {", ".join(map(printable, words))}{besides}; '
            'give videos, folders of videos, or lists of "path label" lines'
        )
    return list(found.values())


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, wherever links lead."""
    parent, folder = path.parent.resolve(), folder.resolve()
    return parent == folder or folder in parent.parents


def expand(word: str, root: str | None) -> Iterator[Clip]:
    """Yield the clips that a word of the command line names.

    Raises:
        UserError: As for :func:`find_clips`.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        for file in sorted(path.rglob('*')):
            if file.suffix.lower() in SUFFIXES and file.is_file():
                yield Clip(file, printable(file))
    elif path.exists():
        if path.suffix.lower() == LIST_SUFFIX:
            yield from read_list(path, root)
        else:
            yield Clip(path, printable(path))
    else:
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise UserError(
                f'{printable(word)} was not found; give a video, a folder, a '
                'pattern that matches one, or a list'
            )
        for match in matches:
            yield from expand(match, root)


def read_list(path: Path, root: str | None) -> Iterator[Clip]:
    """Yield the clips of a list.

    A line that ends with the suffix of a video, or with -1, has no label.
    Empty lines and lines that start with ``#`` are skipped.

    Raises:
        UserError: If the list is not UTF-8, or a line is neither a path nor
            a path and a label.
    """
    for number, line in enumerate(read_text(path).split('\n'), 1):
        line = line.strip(' \t\r')
        if not line or line == '#' or line.startswith('# '):
            continue
        name, label = line, None
        if Path(line).suffix.lower() not in SUFFIXES:
            try:
                name, label = parse_line(line, ' ', False)
            except ValueError as problem:
                raise UserError(
                    f'{path}, line {number}: {line!r} {problem}'
                ) from None
        yield Clip(locate(name, path.parent, root), name, known_label(label))


def known_label(label: int | None) -> int | None:
    """The label of a list; None for -1, which stands for none."""
    return None if label == int(NO_LABEL) else label


def locate(name: str, folder: Path, root: str | None) -> Path:
    """Path of a clip of a list in a folder."""
    if root is not None:
        return Path(root, name)
    places = [folder / name, folder / 'videos' / name]
    return next((p for p in places if p.exists()), places[0])


def without_labels(clips: Iterable[Clip]) -> list[Clip]:
    """The same clips without their labels."""
    return [replace(clip, label=None) for clip in clips]


def check_labels(clips: Iterable[Clip], num_classes: int):
    """Reject labels that the model does not have.

    Raises:
        UserError: With the first one.
    """
    for clip in clips:
        if clip.label is not None and not 0 <= clip.label < num_classes:
            raise UserError(
                f'{clip.name} has the label {clip.label} but the model has '
                f'{num_classes} classes, 0 to {num_classes - 1}; give the '
                "list of the model's data set"
            )
