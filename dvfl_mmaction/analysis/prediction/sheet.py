"""A contact sheet of many clips, with right and wrong marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ..text import shorten
from .bars import RIGHT, WRONG
from .drawn_text import width_of, write_text

MAX_TILES = 60
PICTURE = (200, 200)  # width, height: most models get squares
FONT = 15
PADDING = 8
# Blue and orange differ for colour-blind readers; the signs say the same.
COLOURS = {RIGHT: (20, 90, 160), WRONG: (176, 68, 0), '': (60, 60, 60)}


@dataclass
class Tile:
    """A clip of the sheet.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        predicted: Name of the most probable class.
        share: Its probability, in [0, 1].
        label: Name of the clip's class; '' if unknown.
        is_right: Whether they agree; None if the label is unknown.
        clip: Name of the clip.
    """

    frame: np.ndarray
    predicted: str
    share: float
    label: str
    is_right: bool | None
    clip: str

    @property
    def sign(self) -> str:
        return {None: '', True: RIGHT, False: WRONG}[self.is_right]


def choose(count: int) -> list[int]:
    """Positions of at most 60 clips of a number, evenly spaced."""
    tiles = min(count, MAX_TILES)
    return [i * count // tiles for i in range(tiles)]


def draw_sheet(tiles: Sequence[Tile], title: str) -> Image.Image:
    """Draw the tiles in a grid, below a title."""
    columns = min(len(tiles), max(1, round((len(tiles) * 1.6) ** 0.5)))
    rows = -(-len(tiles) // columns)
    line = round(1.4 * FONT)
    width = PICTURE[0] + 2 * PADDING
    height = PICTURE[1] + 3 * line + 2 * PADDING
    header = line + 2 * PADDING
    sheet = Image.new(
        'RGB', (columns * width, header + rows * height), 'white'
    )
    draw = ImageDraw.Draw(sheet)
    room = sheet.width - 2 * PADDING
    write_text(draw, (PADDING, header / 2), title, FONT, room, 'black')
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        place = (column * width, header + row * height)
        draw_tile(sheet, draw, tile, place, line)
    return sheet


def draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    tile: Tile,
    place: tuple[int, int],
    line: int,
):
    """Draw a tile; a wrong one has a thick frame."""
    left, top = place[0] + PADDING, place[1] + PADDING
    picture = ImageOps.pad(Image.fromarray(tile.frame), PICTURE)
    sheet.paste(picture, (left, top))
    colour = COLOURS[tile.sign]
    thickness = 5 if tile.is_right is False else 1
    box = (left, top, left + PICTURE[0] - 1, top + PICTURE[1] - 1)
    draw.rectangle(box, outline=colour, width=thickness)
    measure = partial(width_of, size=FONT)
    share = f' {100 * tile.share:.0f} %'
    room = PICTURE[0] - measure(f'{tile.sign} {share}')
    name = shorten(tile.predicted, room, measure)
    texts = [(f'{tile.sign} {name}{share}'.strip(), colour, False)]
    if tile.is_right is False:
        texts.append((f'label: {tile.label}', 'black', False))
    texts.append((tile.clip, (90, 90, 90), True))
    for number, (text, fill, keep_end) in enumerate(texts):
        place = (left, top + PICTURE[1] + (number + 0.6) * line)
        write_text(
            draw, place, text, FONT, PICTURE[0], fill, keep_end=keep_end
        )
