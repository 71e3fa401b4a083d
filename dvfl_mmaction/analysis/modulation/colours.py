"""Colours of a map, one scale for all frames of a clip."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw

from ..prediction.drawn_text import write_text

COLOURS = (colormaps['inferno'](np.arange(256))[:, :3] * 255).round()
OPACITY = 0.65  # of the colours over the grey frame
BAR = 12  # pixels
BAR_ROOM = 62  # pixels, bar and numbers
FONT = 12


@dataclass
class Scale:
    """The range of a map over all frames.

    Attributes:
        low: Value of the darkest colour.
        high: Value of the brightest one.
    """

    low: float
    high: float

    @classmethod
    def of(cls, maps: np.ndarray) -> 'Scale':
        return cls(float(maps.min()), float(maps.max()))

    def colour(self, values: np.ndarray) -> np.ndarray:
        """(H, W) -> (H, W, 3) uint8; the darkest colour in a flat map."""
        span = self.high - self.low
        shares = (values - self.low) / span if span else 0 * values
        indices = (shares.clip(0, 1) * 255).round().astype(int)
        return COLOURS[indices].astype(np.uint8)


def overlay_map(
    frame: np.ndarray, values: np.ndarray, scale: Scale
) -> np.ndarray:
    """Lay the colours of a map over a grey frame.

    Args:
        frame: (H, W, 3) uint8 RGB.
        values: (H, W).
        scale: Of all frames.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    grey = frame @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    mixed = OPACITY * scale.colour(values) + (1 - OPACITY) * grey[..., None]
    return mixed.round().astype(np.uint8)


def draw_bar(
    picture: Image.Image, place: tuple[int, int], height: int, scale: Scale
):
    """Draw a scale with its ends; ``place`` is its upper left corner."""
    left, top = place
    ramp = np.linspace(255, 0, height).round().astype(int)
    pixels = COLOURS[ramp][:, None].repeat(BAR, 1).astype(np.uint8)
    picture.paste(Image.fromarray(pixels), place)
    draw = ImageDraw.Draw(picture)
    x, room = left + BAR + 4, BAR_ROOM - BAR - 4
    for value, y in ((scale.high, top + 6), (scale.low, top + height - 7)):
        write_text(draw, (x, y), short_number(value), FONT, room, 'black')


def short_number(value: float) -> str:
    """A number >= 0 of few characters: 3 digits below 1,000."""
    if 1e3 <= value < 1e6:
        return f'{value:.0f}'
    if not 1e-3 <= value < 1e3 and value:
        return f'{value:.0e}'
    return f'{value:.3g}'
