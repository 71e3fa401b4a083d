"""The modulators of one stage at one time step, as a picture."""

import numpy as np
from PIL import Image, ImageDraw

from ...analysis.modulation.colours import (
    BAR_ROOM,
    Scale,
    draw_bar,
    overlay_map,
)
from ...analysis.modulation.grid import caption, to_cell
from ...analysis.modulation.modulators import KINDS
from ...analysis.modulation.observer import View
from ...analysis.prediction.drawn_text import write_text

CELL = 224  # pixels, height of a frame
GAP = 8
FONT = 15


def draw_maps(view: View, stage: int, share: float) -> Image.Image:
    """Draw the frame and the modulators of space, time and both: 2 x 2.

    Args:
        view: Of a model.
        stage: Number of the stage, from 1.
        share: Place in the clip, in [0, 1).
    """
    index = int(share * len(view.frames))
    frame = view.frames[index]
    cell = to_cell(frame, CELL)
    width, height = cell.width + BAR_ROOM, CELL + 2 * FONT
    header = 2 * FONT
    size = (2 * width + GAP, header + 2 * height)
    picture = Image.new('RGB', size, 'white')
    draw = ImageDraw.Draw(picture)
    write_text(draw, (0, FONT), caption(view), FONT, size[0], 'black')
    for place, kind in enumerate(('frame', *KINDS)):
        left, top = (place % 2) * (width + GAP), header + (place // 2) * height
        middle = top + FONT
        write_text(draw, (left, middle), kind, FONT, width, 'black')
        top += 2 * FONT
        if kind == 'frame':
            picture.paste(cell, (left, top))
            continue
        maps: np.ndarray = view.maps[stage][kind]
        scale = Scale.of(maps)
        mixed = to_cell(overlay_map(frame, maps[index], scale), CELL)
        picture.paste(mixed, (left, top))
        draw_bar(picture, (left + cell.width + 4, top), CELL, scale)
    return picture
