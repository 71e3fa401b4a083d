"""Text for terminals and files, cut to a length."""

import os
from collections.abc import Callable

from rich.cells import cell_len

# Of no width, within words of Persian and Indic scripts, and in emoji.
JOINERS = '\u200c\u200d'


def printable(text: str | os.PathLike) -> str:
    """One line that can be encoded: the bytes of a file name that are not
    UTF-8, and control characters, are escaped, but for joiners."""
    text = os.fspath(text).encode('utf-8', 'surrogateescape')
    text = text.decode('utf-8', 'backslashreplace')
    return ''.join(
        c if c.isprintable() or c in JOINERS else escaped(c) for c in text
    )


def escaped(character: str) -> str:
    return character.encode('unicode_escape').decode()


def shorten(
    text: str,
    width: float,
    measure: Callable[[str], float] = cell_len,
    keep_end: bool = False,
) -> str:
    """Cut text to a width; an ellipsis replaces what is cut.

    Args:
        text: One line.
        width: The width, in units of ``measure``.
        measure: Width of a text; by default in columns of a terminal.
        keep_end: Cut the beginning, as for paths.
    """
    if measure(text) <= width:
        return text
    low, high = 0, len(text)  # characters that fit, and that do not
    while high - low > 1:
        middle = (low + high) // 2
        fits = measure(cut(text, middle, keep_end)) <= width
        low, high = (middle, high) if fits else (low, middle)
    return cut(text, low, keep_end)


def cut(text: str, count: int, keep_end: bool) -> str:
    """The first or last characters of a text, and an ellipsis."""
    if keep_end:
        return '…' + text[len(text) - count :]
    return text[:count] + '…'
