"""Lists of clips and labels, with an optional header."""

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError
from ..files import write_whole


@dataclass
class Annotations:
    """A list of labelled clips.

    Attributes:
        clips: (name, label) of each clip. A name is a path relative to the
            data set's folder of videos, with ``/``; a label counts from 0.
        header: Facts about the list, such as ``dataset``, ``split``
            (``official 1``, ``paper``) and ``part``; written in this order.
    """

    clips: list[tuple[str, int]]
    header: dict[str, str] = field(default_factory=dict)


def read_annotations(path: str | Path) -> Annotations:
    """Read MMAction2's list of videos, one line ``name label`` per clip.

    Lines of ``# key: value`` at the top are the header. A name may hold
    spaces: the label is what follows the last one. Empty lines are skipped.

    Raises:
        UserError: If the file is missing, is not UTF-8 text or holds no
            clip, or a line has no label of 0 or more.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        raise UserError(
            f'{path} not found; give an existing list of clips'
        ) from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(
            f'{path} is not a list of clips: {error}; give a text file in '
            'UTF-8 with one line "path label" per clip'
        ) from None
    clips, header = [], {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if line.startswith('# ') and not clips:
            key, _, value = line[2:].partition(':')
            header[key.strip()] = value.strip()
        elif line:
            name, _, label = line.rpartition(' ')
            if not name.strip() or not label.isdecimal():
                raise UserError(
                    f'{path}, line {number}: {line!r} has no label; give '
                    '"path label", the label a number from 0'
                )
            clips.append((name.strip(), int(label)))
    if not clips:
        raise UserError(
            f'{path} holds no clip; give one line "path label" per clip'
        )
    return Annotations(clips, header)


def write_annotations(path: Path, annotations: Annotations):
    """Write a list for :func:`read_annotations`, atomically."""
    head = [f'# {key}: {value}' for key, value in annotations.header.items()]
    write_lines(
        path, head + [f'{n} {label}' for n, label in annotations.clips]
    )


def write_lines(path: Path, lines: list[str]):
    """Write lines of text atomically."""
    write_whole(path, ''.join(f'{line}\n' for line in lines))
