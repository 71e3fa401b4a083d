"""Write text of any script on a picture."""

from collections.abc import Iterator
from functools import cache, partial
from itertools import groupby

from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font
from PIL import ImageDraw, ImageFont

from ..text import shorten

DEFAULT = 'DejaVu Sans'  # comes with matplotlib
PLACEHOLDER = 'Last Resort'  # a font that draws a box for each character


def write_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    room: float,
    colour='white',
    align: str = 'left',
    keep_end: bool = False,
) -> float:
    """Write a line; what is wider than the room is cut.

    Args:
        draw: Of the picture.
        place: The left end of the line, or the right one, in the middle of
            its height; pixels.
        text: One line.
        size: Height of the font in pixels.
        room: Most pixels.
        colour: Of the text.
        align: ``'left'``: ``place`` is the left end; ``'right'``.
        keep_end: Cut the beginning.

    Returns:
        The width of the text, in pixels.
    """
    measure = partial(width_of, size=size)
    text = shorten(text, room, measure, keep_end)
    x, y = place
    if align == 'right':
        x -= measure(text)
    for font, run in runs_of(text, size):
        draw.text((x, y), run, colour, font, 'lm')
        x += font.getlength(run)
    return measure(text)


def width_of(text: str, size: int) -> float:
    """Width of a line, in pixels."""
    return sum(font.getlength(run) for font, run in runs_of(text, size))


def runs_of(
    text: str, size: int
) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
    """Parts of a text that one font has."""
    for path, run in groupby(text, font_path):
        yield open_font(path, size), ''.join(run)


@cache
def font_path(character: str) -> str:
    """File of the font for a character.

    It is that of DejaVu Sans (Latin, Greek, Cyrillic, Arabic and more) if
    that has it, or else of the first font on this machine. Without one,
    DejaVu draws a box.
    """
    default = findfont(DEFAULT)
    others = [
        font.fname
        for font in fontManager.ttflist
        if font.style == 'normal' and PLACEHOLDER not in font.name
    ]
    for path in (default, *others):
        if ord(character) in characters_of(path):
            return path
    return default


@cache
def characters_of(path: str) -> frozenset[int]:
    """The characters of a font; none if it cannot be read."""
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def open_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Open a font file."""
    return ImageFont.truetype(path, size)
