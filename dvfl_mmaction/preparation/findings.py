"""What is read of a data set: its clips, and what is wrong with it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError

SUFFIXES = ('.avi', '.mp4', '.webm', '.mkv')

MISSING_CLASS = 'classes without a clip'
DUPLICATE = 'clips that are there twice'
UNKNOWN_LABEL = 'clips with an unknown label'
NOT_ON_DISK = 'clips listed and not on disk'
NOT_LISTED = 'files on disk that no list names'


@dataclass(frozen=True)
class Clip:
    """A labelled clip.

    Attributes:
        name: Path in the folder of videos, with ``/``.
        label: Class, from 0.
        group: Its source; clips of one source are alike.
    """

    name: str
    label: int
    group: str


class Findings:
    """What is wrong, by kind; a name is told once."""

    def __init__(self):
        self.names = {}

    def add(self, kind: str, name: str):
        self.names.setdefault(kind, {})[name] = None

    def __bool__(self):
        return bool(self.names)

    def lines(self) -> list[str]:
        """A line a kind: how many, and the first three."""
        lines = []
        for kind, names in self.names.items():
            few = ', '.join([*names][:3])
            more = f' and {len(names) - 3:,} more' if len(names) > 3 else ''
            lines.append(f'{kind}: {len(names):,} ({few}{more})')
        return lines


@dataclass
class Reading:
    """A data set as it is on disk.

    Attributes:
        classes: Names by label.
        clips: All labelled clips on disk, once each.
        splits: Split -> (train, val), in the order of the official lists.
        findings: What is wrong.
        links: Link -> folder that it is to point to, paths in the root.
    """

    classes: list[str]
    clips: list[Clip]
    splits: dict[str, tuple[list[Clip], list[Clip]]]
    findings: Findings
    links: dict[str, str] = field(default_factory=dict)


def list_files(folder: Path) -> list[str]:
    """Names of the clips in a folder and the folders in it, sorted."""
    names = []
    for path, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [
            f
            for f in folders
            if not f.startswith('.') and not f.endswith(('.part', '.old'))
        ]
        base = Path(path).relative_to(folder)
        names += [
            (base / file).as_posix()
            for file in files
            if file.lower().endswith(SUFFIXES) and not file.startswith('.')
        ]
    return sorted(names)


def find(root: Path, candidates: list[str], wanted: str) -> Path:
    """The first of ``candidates`` that is in ``root``.

    Raises:
        UserError: If none is; ``wanted`` says how to get it.
    """
    for name in candidates:
        if (root / name).exists():
            return root / name
    raise UserError(f'{root / candidates[0]} is not there; {wanted}')


def read_lines(path: Path) -> list[str]:
    """Lines that are not empty, without blanks around them."""
    try:
        text = path.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise UserError(
            f'{path} is not there; unpack its archive again'
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f'{path} is no text ({error}); unpack its archive again'
        ) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def note_repeated(names: list[str], findings: Findings):
    """Note file names that are in two folders."""
    seen = {}
    for name in names:
        file = name.rpartition('/')[2]
        if file in seen:
            findings.add(DUPLICATE, f'{seen[file]} = {name}')
        seen.setdefault(file, name)


def note_empty_classes(
    classes: list[str], clips: list[Clip], findings: Findings
):
    """Note classes that no clip has."""
    present = {clip.label for clip in clips}
    for label, name in enumerate(classes):
        if label not in present:
            findings.add(MISSING_CLASS, name)
