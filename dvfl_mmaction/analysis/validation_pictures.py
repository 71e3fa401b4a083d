"""The pictures of a validation, drawn with matplotlib."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ..evaluation.confusion_figure import plot_confusion
from ..evaluation.hard_clips import HardClip
from .prediction.sheet import Tile, draw_sheet
from .text import printable

PIXELS_PER_INCH = 90  # of the confusion figure


def draw_hard_clips(
    clips: list[HardClip], names: list[str] | None
) -> np.ndarray:
    """Contact sheet of clips, (H, W, 3) uint8 RGB."""

    def name_of(index: int) -> str:
        known = names and index < len(names)
        return printable(names[index]) if known else str(index)

    tiles = [
        Tile(
            clip.frame,
            name_of(clip.predicted),
            clip.share,
            name_of(clip.label),
            clip.is_right,
            Path(printable(clip.name)).name,
        )
        for clip in clips
    ]
    title = (
        f'{len(clips)} clips of highest loss, '
        f'{clips[0].loss:.2f} to {clips[-1].loss:.2f}'
    )
    return np.asarray(draw_sheet(tiles, title))


def draw_confusion(report: dict, names: list[str] | None) -> np.ndarray:
    """The confusion figure of a report, (H, W, 3) uint8 RGB."""
    figure = plot_confusion(
        report['confusion_matrix'],
        report['hardest_pairs'],
        names,
        f'top-1 {100 * report["top1"]:.2f} %' if 'top1' in report else '',
    )
    figure.set_dpi(PIXELS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
