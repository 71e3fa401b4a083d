"""Find the clips that files, folders, patterns and lists name."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...datasets.annotations import NO_LABEL, parse_line, read_text
from ...errors import UserError
from ...files import file_id, normal_path
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
        label: Its class; None if unknown, several as a tuple.
    """

    path: Path
    name: str
    label: int | tuple[int, ...] | None = None


def find_clips(
    words: Iterable[str],
    root: str | None = None,
    excluded: Path | None = None,
    several_labels: bool = False,
) -> list[Clip]:
    """Find the clips of a command line, each once, in order.

    A clip that is named several times has the first label that it is given.

    Args:
        words: Videos, folders (searched as by :func:`videos_in`), patterns
            such as ``'clips/*.mp4'``, and lists (``.txt``) with a line
            ``path [label]`` per clip.
        root: Folder of the paths in lists. By default that of the list, or
            ``videos`` in it, as the project's data sets have it.
        excluded: A folder whose videos are left out: that of the outputs.
        several_labels: Whether a line of a list may have several labels
            after the file name of a video.

    Raises:
        UserError: If a word names nothing, a line of a list is malformed,
            or there is no clip.
    """
    words, found = list(words), {}
    for word in words:
        for clip in expand(word, root, several_labels):
            if not excluded or not is_inside(clip.path, excluded):
                path = normal_path(clip.path)
                known = found.setdefault(path, clip)
                if known.label is None:
                    found[path] = replace(known, label=clip.label)
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


def expand(
    word: str, root: str | None, several_labels: bool = False
) -> Iterator[Clip]:
    """Yield the clips that a word of the command line names.

    Raises:
        UserError: As for :func:`find_clips`.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        for file in sorted(videos_in(path)):
            yield Clip(file, printable(file))
    elif path.exists():
        if path.suffix.lower() == LIST_SUFFIX:
            yield from read_list(path, root, several_labels)
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
            yield from expand(match, root, several_labels)


def videos_in(folder: Path) -> Iterator[Path]:
    """Yield the videos in a folder and its subfolders.

    Links to folders are followed, since a prepared data set has some, and
    each folder is searched once. Hidden files and folders are left out:
    macOS puts a ``._a.mp4``, which is no video, beside ``a.mp4``.
    """
    searched = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        known = file_id(parent)
        is_new = known not in searched
        searched.add(known)
        # Links last, so that a clip has the name without one.
        folders[:] = sorted(
            (f for f in folders if is_new and not f.startswith('.')),
            key=lambda f: (os.path.islink(os.path.join(parent, f)), f),
        )
        for file in files if is_new else ():
            path = Path(parent, file)
            is_video = path.suffix.lower() in SUFFIXES and path.is_file()
            if is_video and not file.startswith('.'):
                yield path


def read_list(
    path: Path, root: str | None, several_labels: bool
) -> Iterator[Clip]:
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
                name, label = name_and_label(line, several_labels)
            except ValueError as problem:
                raise UserError(
                    f'{path}, line {number}: {line!r} {problem}'
                ) from None
        yield Clip(locate(name, path.parent, root), name, known_label(label))


def name_and_label(line: str, several_labels: bool) -> tuple:
    """Split a line of a list; several labels are a tuple.

    Raises:
        ValueError: With what is wrong and the remedy.
    """
    try:
        return parse_line(line, ' ', False)
    except ValueError:
        if not several_labels:
            raise
        try:
            name, labels = parse_line(line, ' ', True)
        except ValueError:
            labels = []
        if len(labels) < 2 or Path(name).suffix.lower() not in SUFFIXES:
            raise
        return name, tuple(labels)


def known_label(
    label: int | tuple[int, ...] | None,
) -> int | tuple[int, ...] | None:
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


def check_labels(
    clips: Iterable[Clip], num_classes: int, several_labels: bool = False
):
    """Reject labels that the model does not have.

    Args:
        clips: The clips.
        num_classes: Classes of the model.
        several_labels: Whether it predicts several labels per clip.

    Raises:
        UserError: With the first one, or if a clip has several labels and
            the model predicts one.
    """
    for clip in clips:
        several = isinstance(clip.label, tuple)
        if several and not several_labels:
            raise UserError(
                f'{clip.name} has several labels but the model predicts one '
                'per clip; give a list with one label per clip'
            )
        for label in clip.label if several else [clip.label]:
            if label is not None and not 0 <= label < num_classes:
                raise UserError(
                    f'{clip.name} has the label {label} but the model has '
                    f'{num_classes} classes, 0 to {num_classes - 1}; give '
                    "the list of the model's data set"
                )
