"""Lists of clips and labels, with an optional header."""

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ..errors import UserError
from ..files import kind_of_special_file, write_whole

LABEL = re.compile(r'[0-9]{1,9}')
NO_LABEL = '-1'
CONTROL = re.compile(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]')
# What editors and web pages put at the ends of a line, and no one sees:
# zero-width spaces, marks of the direction of writing, byte-order marks.
HIDDEN = '[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+'
AT_THE_ENDS = re.compile(f'^{HIDDEN}|{HIDDEN}$', re.MULTILINE)
# A label at the end of a line, and what separates it.
SEPARATED = re.compile(r'\S(\s*[,;|:]|\s)\s*"?(?:-1|[0-9]{1,9})"?$')
NEGATIVE = re.compile(r'[\s,;|:](-[0-9]+)"?$')
# The common line, which needs no further check: most of a long list's time.
PLAIN = re.compile(r'([^\\"\'\t,;|]+\.(?:mp4|avi|webm|mkv)) (-1|[0-9]{1,9})')
# What follows the file name of a video, within a name.
AFTER_VIDEO = re.compile(
    r'\.(?:mp4|avi|mkv|webm|mov|m4v|mpe?g|wmv|flv|m?ts|m2ts|3gp|ogv)'
    r'["\']?\s*[\s,;|]\s*([^./\\]*)$',
    re.IGNORECASE,
)


@dataclass
class Annotations:
    """A list of labelled clips.

    Attributes:
        clips: (name, label) of each clip. A name is a path relative to the
            data set's folder of videos, with ``/``; a label counts from 0,
            or is -1 if there is none, and is a list of labels if a clip may
            have several.
        header: Facts about the list, such as ``dataset``, ``split``
            (``official 1``, ``paper``) and ``part``; written in this order.
    """

    clips: list[tuple[str, int | list[int]]]
    header: dict[str, str] = field(default_factory=dict)


def read_annotations(
    path: str | Path,
    delimiter: str = ' ',
    multi_class: bool = False,
    unlabelled: bool = False,
) -> Annotations:
    """Read MMAction2's list of videos, one line ``name label`` per clip.

    Lines of ``# key: value`` at the top are the header; later lines that
    start with ``# `` are comments. Empty lines are skipped, and so are
    byte-order marks and other invisible characters at the ends of a line. A
    name may hold spaces: the label follows the last delimiter.
    Quotes around a name or a line are removed, and backslashes become
    ``/``. A list that was read before and has not changed is not parsed
    again.

    Args:
        path: The list, in UTF-8.
        delimiter: Separates name and labels. A space stands for any spaces
            and tabs.
        multi_class: Whether a clip may have several labels,
            ``name label label``; each label is then a list.
        unlabelled: Whether the label may be -1, for none; not together with
            ``multi_class``.

    Raises:
        UserError: If the file is missing, is not UTF-8 text or holds no
            clip, or a line is not a name and a label of 0 or more.
    """
    path = Path(path)
    if delimiter == r'\t':  # as a shell passes it
        delimiter = '\t'
    if not delimiter or not isinstance(delimiter, str):
        raise UserError(
            f'delimiter is {delimiter!r}; wanted: the text between path and '
            "label; give, for example, ' ' or ',' in the config "
            '(--cfg-options splits at a comma)'
        )
    try:
        status = os.stat(path)
        version = (status.st_size, status.st_mtime_ns, status.st_ino)
        read, without_label = parse_list(
            path, version, delimiter, bool(multi_class)
        )
    except FileNotFoundError:
        raise UserError(
            f'{path} not found; give an existing list of clips'
        ) from None
    except OSError as error:
        raise UserError(
            f'{path} is not a list of clips: {error}; give a text file in '
            'UTF-8 with one line "path label" per clip'
        ) from None
    if without_label and not unlabelled:
        raise UserError(f'{path}, {without_label} {label_below_0(NO_LABEL)}')
    return Annotations(list(read.clips), dict(read.header))


@lru_cache(maxsize=8)
def parse_list(
    path: Path, version: tuple, delimiter: str, multi_class: bool
) -> tuple[Annotations, str | None]:
    """Parse one version of a list; see :func:`read_annotations`.

    Returns:
        The list, and the first line with a clip without a label, if any.
    """
    clips, header, without_label = [], {}, None
    for number, line in enumerate(read_text(path).split('\n'), 1):
        line = line.strip(' \t\r')
        if line.startswith('# ') or line == '#':
            if not clips and line != '#':
                key, _, value = line[2:].partition(':')
                header[key.strip()] = value.strip()
        elif line:
            try:
                clips.append(parse_line(line, delimiter, multi_class))
            except ValueError as problem:
                raise UserError(
                    f'{path}, line {number}: {line!r} {problem}'
                ) from None
            if clips[-1][1] == -1 and without_label is None:
                without_label = f'line {number}: {line!r}'
    if not clips:
        raise UserError(
            f'{path} holds no clip; give one line "path label" per clip'
        )
    return Annotations(clips, header), without_label


def read_text(path: Path) -> str:
    """Read UTF-8 text without invisible characters at the ends of lines.

    Raises:
        UserError: If it is not UTF-8 or has control characters, such as
            NUL; with the line.
    """
    if kind := kind_of_special_file(path):
        raise UserError(
            f'{path} is not a list of clips: it is a {kind}; give a text file'
        )
    content = path.read_bytes()
    try:
        text = content.decode('utf-8')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise UserError(
            f'{path} is not a list of clips: line {line} is not UTF-8 '
            f'({error}); give a text file in UTF-8 with one line '
            '"path label" per clip'
        ) from None
    text = text.replace('\r\n', '\n').replace('\r', '\n')
    if not text.isascii():
        text = AT_THE_ENDS.sub('', text)
    found = CONTROL.search(text)
    if found:
        line = text.count('\n', 0, found.start()) + 1
        raise UserError(
            f'{path}, line {line} has the control character '
            f'{found[0]!r}; save the list as plain UTF-8 text, and correct '
            'the line'
        )
    return text


def parse_line(line: str, delimiter: str, multi_class: bool) -> tuple:
    """Split a line into name and label, or list of labels.

    Raises:
        ValueError: With what is wrong and the remedy.
    """
    plain = delimiter == ' ' and not multi_class and PLAIN.fullmatch(line)
    if plain:
        return plain[1], int(plain[2])
    if (
        len(line) > 2
        and line[0] in '"\''
        and line.find(line[0], 1) == (len(line) - 1)
    ):
        line = line[1:-1]  # quoted as a whole
    name, labels = line, []
    none = None if multi_class else NO_LABEL
    while multi_class or not labels:
        before, last = split_last(name, delimiter)
        if not before or not (LABEL.fullmatch(last) or last == none):
            break
        labels.insert(0, int(last))
        name = before
    if not labels:
        raise ValueError(lacks_label(line, delimiter, none))
    check_name(name, delimiter)
    if name[0] in '"\'' and name[-1] == name[0] and len(name) > 2:
        name = name[1:-1]
    return name.replace('\\', '/'), labels if multi_class else labels[0]


def split_last(text: str, delimiter: str) -> tuple[str, str]:
    """The text before the last delimiter, and the field after it."""
    if delimiter.isspace() and delimiter != '\t':
        before, *last = text.rsplit(None, 1)
    else:
        before, *last = text.rsplit(delimiter, 1)
    if not last:
        return '', before
    return before.strip(' \t'), last[0].strip(' \t"')


def check_name(name: str, delimiter: str):
    """Reject a name that holds another field of its line.

    Raises:
        ValueError: With what is wrong and the remedy.
    """
    if name[-1] in ',;|:':
        raise ValueError(other_delimiter(name[-1], delimiter))
    after = AFTER_VIDEO.search(name)
    number = name[-1].isdigit() and re.search(r'([\s,;|])[0-9]+$', name)
    if number and (after or number[1] == delimiter != ' '):
        raise ValueError(
            'has more than one number after the path; for several labels '
            'set multi_class=True and num_classes in the data set; remove '
            'a frame count'
        )
    if number and delimiter == ' ':
        raise ValueError(
            'looks like a line of a list of frame folders ("folder frames '
            'label") or has several labels; give a list of videos, or set '
            'multi_class=True and num_classes in the data set; if the number '
            "belongs to the path, set delimiter='\\t' and use tabs"
        )
    if after:
        raise ValueError(
            f'has {after[1]!r} between path and label; give "path label", '
            'the label a number from 0'
        )


def lacks_label(line: str, delimiter: str, none: str | None) -> str:
    """Describe a line that does not end with the delimiter and a label.

    Args:
        line: The line.
        delimiter: The configured delimiter.
        none: What stands for no label, if a clip may have none.
    """
    negative = NEGATIVE.search(line)
    if negative and negative[1] != none:
        return label_below_0(negative[1])
    found = SEPARATED.search(line)
    found = found and (found[1].strip() or found[1])
    if found and found != delimiter:
        return other_delimiter(found, delimiter)
    return (
        'has no label; give "path label", the label a number from 0, '
        f'separated by {delimiter!r}'
    )


def label_below_0(label: str) -> str:
    """Describe a line with a label below 0."""
    return (
        f'has the label {label}; labels count from 0; leave out clips '
        f'without a label ({NO_LABEL}), which only the training list of a '
        'distillation with one label per clip may have'
    )


def other_delimiter(found: str, delimiter: str) -> str:
    """Describe a line with a delimiter that is not the one configured."""
    return (
        f'looks separated by {found!r} but delimiter is {delimiter!r}; set '
        f'delimiter={found!r} in the data set, or correct the list'
    )


def write_annotations(path: Path, annotations: Annotations):
    """Write a list for :func:`read_annotations`, atomically."""
    lines = [f'# {key}: {value}' for key, value in annotations.header.items()]
    for name, label in annotations.clips:
        labels = label if isinstance(label, list) else [label]
        lines.append(' '.join([quoted(name), *map(str, labels)]))
    write_lines(path, lines)


def quoted(name: str) -> str:
    """A name, in quotes if it would be read otherwise without them."""
    is_comment = name.startswith('# ')
    has_quotes = name[:1] in ('"', "'") and name[-1:] == name[:1]
    has_blanks = AT_THE_ENDS.sub('', name.strip(' \t')) != name
    return f'"{name}"' if is_comment or has_quotes or has_blanks else name


def write_lines(path: Path, lines: list[str]):
    """Write lines of text atomically."""
    write_whole(path, ''.join(f'{line}\n' for line in lines))
