"""Pictures of a clip: frames that the model saw, and its prediction."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...files import whole_file
from .bars import Row, draw_panel, overlay

MAX_FRAMES = 8
HEIGHT = 320  # pixels of a frame
GAP = 3
FONT = 20  # legible where a page shows the strip at half its size


def draw_strip(frames: np.ndarray, rows: Sequence[Row]) -> Image.Image:
    """Draw frames side by side, with bars in the lower left corner.

    Args:
        frames: (T, H, W, 3) uint8; of more than 8, 8 are drawn.
        rows: The bars.
    """
    if len(frames) > MAX_FRAMES:
        chosen = np.linspace(0, len(frames) - 1, MAX_FRAMES).round()
        frames = frames[chosen.astype(int)]
    width = round(HEIGHT * frames.shape[2] / frames.shape[1])
    strip = Image.new(
        'RGB', (len(frames) * (width + GAP) - GAP, HEIGHT), 'white'
    )
    for number, frame in enumerate(frames):
        frame = Image.fromarray(frame).resize((width, HEIGHT))
        strip.paste(frame, (number * (width + GAP), 0))
    return overlay(strip, draw_panel(*strip.size, rows, FONT))


def save_png(path: Path, picture: Image.Image):
    """Save a picture atomically."""
    with whole_file(path) as part:
        picture.save(part, 'png', compress_level=1)
