"""Draw the most probable classes as bars on a picture.

MMAction2's ``ActionVisualizer`` writes the frame number and the labels in a
fixed font size, without probabilities, so it is not used here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ...evaluation.classification import best_class
from ..text import printable
from .drawn_text import write_text
from .predictor import Predictor

# The signs come first, so that colours are not needed to read them.
RIGHT, WRONG = '✓', '✗'
PANEL = (16, 18, 24, 200)
TRACK = (70, 74, 84, 255)
BAR = (31, 104, 178, 255)
SMALLEST_FONT = 11  # pixels
PICTURE_PER_FONT = 26  # heights of the font per height of the picture
WIDTH_PER_FONT = 22  # of the panel
LEAST_WIDTH = 6  # of the panel, in heights of the font
ROW = 1.5  # height of a row, in heights of the font


@dataclass
class Row:
    """A line of the panel.

    Attributes:
        text: Name of the class, with a sign if the label is known.
        share: Probability in [0, 1]; None draws no bar, NaN an empty one.
    """

    text: str
    share: float | None = None


def rows_of(
    scores: np.ndarray, predictor: Predictor, top: int, label: int | None
) -> list[Row]:
    """Lines of a clip: the most probable classes, then a missing label.

    Args:
        scores: (K,) probabilities.
        predictor: Names the classes.
        top: Number of classes.
        label: The clip's class; None if unknown.
    """
    rows, best = [], top_classes(scores, top)
    for place, index in enumerate(best):
        sign = ''
        if label is not None and not place:
            sign = f'{RIGHT if is_right(scores, label) else WRONG} '
        elif label == index:
            sign = f'{RIGHT} '
        name = sign + printable(predictor.name_of(index))
        rows.append(Row(name, float(scores[index])))
    if label is not None and label not in best:
        rows.append(Row(f'label: {printable(predictor.name_of(label))}'))
    return rows


def is_right(scores: np.ndarray, label: int) -> bool:
    """Whether a clip has the highest score at its label, and no NaN."""
    return best_class(scores) == label


def top_classes(scores: np.ndarray, top: int) -> list[int]:
    """Classes in order of their probability, the first ``top``."""
    return np.argsort(-scores, kind='stable')[:top].tolist()


def draw_panel(
    width: int, height: int, rows: Sequence[Row], size: int | None = None
) -> Image.Image:
    """Draw the panel of a picture.

    Long names are cut, and rows that do not fit are left out.

    Args:
        width: Of the picture, in pixels.
        height: Likewise.
        rows: The lines.
        size: Height of the font in pixels; by default it follows the height
            of the picture.

    Returns:
        RGBA. It is larger than a picture that has no room for a line of a
        few characters.
    """
    size = size or max(SMALLEST_FONT, round(height / PICTURE_PER_FONT))
    row_height = round(ROW * size)
    padding, gap = round(size / 2), max(1, round(size / 8))
    rows = list(rows)[: max(1, (height - 2 * padding) // row_height)]
    panel = Image.new(
        'RGBA',
        (
            max(LEAST_WIDTH * size, min(width, WIDTH_PER_FONT * size)),
            2 * padding + row_height * len(rows) - gap,
        ),
        PANEL,
    )
    draw = ImageDraw.Draw(panel)
    left, right = padding, panel.width - padding  # of a bar of 100 %
    for number, row in enumerate(rows):
        top = padding + number * row_height
        bottom = top + row_height - gap - 1
        middle, end = (top + bottom) / 2, right - gap
        if row.share is not None:
            draw.rectangle((left, top, right - 1, bottom), TRACK)
            share = 0 if math.isnan(row.share) else row.share
            length = round(share * (right - left))
            if length:
                draw.rectangle((left, top, left + length - 1, bottom), BAR)
            text = f'{100 * row.share:.1f} %'
            end -= size / 2 + write_text(
                draw, (end, middle), text, size, end - left, align='right'
            )
        room = end - left - gap
        write_text(draw, (left + gap, middle), row.text, size, room)
    return panel


def overlay(picture: Image.Image, panel: Image.Image) -> Image.Image:
    """Put a panel into the lower left corner of a picture, in place.

    What is larger than the picture is cut.
    """
    room = (picture.width - panel.width, picture.height - panel.height)
    margin = max(0, min(picture.height // 40, *room))
    place = (margin, picture.height - panel.height - margin)
    picture.paste(panel, place, panel)
    return picture
