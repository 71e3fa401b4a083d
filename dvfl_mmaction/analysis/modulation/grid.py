"""One picture of all modulators of a clip: a row per stage and kind."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..prediction.drawn_text import width_of, write_text
from ..text import printable
from .colours import BAR_ROOM, Scale, draw_bar, overlay_map
from .modulators import KINDS
from .observer import View

MAX_FRAMES = 8
CELL = 96  # pixels, height of a frame
GAP = 2
STAGE_GAP = 8
FONT = 14
MARGIN = 8


def draw_grid(views: Sequence[View], title: str) -> Image.Image:
    """Draw the frames of a clip and the maps below them.

    Args:
        views: Of one clip, side by side. Each row has its own scale in each
            of them, over all frames.
        title: Name of the clip.
    """
    labels = ['frames'] + [
        f'stage {stage}, {kind}' for stage in views[0].maps for kind in KINDS
    ]
    room = round(max(width_of(label, FONT) for label in labels)) + MARGIN
    columns = [chosen_frames(len(view.frames)) for view in views]
    widths = [
        len(chosen) * (cell_width(view) + GAP) + BAR_ROOM
        for view, chosen in zip(views, columns, strict=True)
    ]
    header = 2 * round(1.5 * FONT) + MARGIN
    stages = len(views[0].maps)
    rows = (1 + 3 * stages) * (CELL + GAP) + stages * STAGE_GAP
    grid = Image.new(
        'RGB',
        (
            2 * MARGIN + room + sum(widths) + MARGIN * (len(views) - 1),
            header + rows + MARGIN,
        ),
        'white',
    )
    draw = ImageDraw.Draw(grid)
    place = (MARGIN, MARGIN + FONT // 2)
    full = grid.width - 2 * MARGIN
    write_text(draw, place, printable(title), FONT, full, 'black', 'left')
    for label, top in zip(labels, row_tops(stages, header), strict=True):
        place = (MARGIN, top + CELL / 2)
        write_text(draw, place, label, FONT, room, 'black')
    left = MARGIN + room
    for view, chosen, width in zip(views, columns, widths, strict=True):
        place = (left, MARGIN + 2 * FONT)
        write_text(draw, place, caption(view), FONT, width - MARGIN, 'black')
        draw_view(grid, view, chosen, (left, header))
        left += width + MARGIN
    return grid


def draw_view(
    grid: Image.Image, view: View, chosen: list[int], place: tuple[int, int]
):
    """Draw the rows of a model; ``place`` is their upper left corner."""
    left, header = place
    step = cell_width(view) + GAP
    tops = row_tops(len(view.maps), header)
    for column, index in enumerate(chosen):
        cell = to_cell(view.frames[index])
        grid.paste(cell, (left + column * step, next(iter(tops))))
    kinds = [
        of_stage[kind] for of_stage in view.maps.values() for kind in KINDS
    ]
    for maps, top in zip(kinds, tops[1:], strict=True):
        scale = Scale.of(maps)
        for column, index in enumerate(chosen):
            cell = to_cell(overlay_map(view.frames[index], maps[index], scale))
            grid.paste(cell, (left + column * step, top))
        place = (left + len(chosen) * step + 2, top)
        draw_bar(grid, place, CELL, scale)


def caption(view: View) -> str:
    """Name and prediction of a model."""
    return f'{view.model}: {view.predicted} ({100 * view.share:.0f} %)'


def chosen_frames(count: int) -> list[int]:
    """Positions of at most 8 frames, evenly spaced."""
    shown = min(count, MAX_FRAMES)
    return np.linspace(0, count - 1, shown).round().astype(int).tolist()


def row_tops(stages: int, header: int) -> list[int]:
    """Upper edges of the rows: the frames, then three per stage."""
    return [header] + [
        header + row * (CELL + GAP) + (1 + (row - 1) // 3) * STAGE_GAP
        for row in range(1, 1 + 3 * stages)
    ]


def cell_width(view: View) -> int:
    """Width of a frame on the picture."""
    height, width = view.frames.shape[1:3]
    return round(CELL * width / height)


def to_cell(image: np.ndarray, height: int = CELL) -> Image.Image:
    """Scale a frame to a height."""
    width = round(height * image.shape[1] / image.shape[0])
    return Image.fromarray(image).resize((width, height), Image.BICUBIC)
