"""Draw the modulators of clips, and measure their focus."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...files import write_json
from ...preparation.clips.runner import show_progress
from ..prediction.batches import ClipReader
from ..prediction.clips import Clip
from ..prediction.run import cannot_write, paths_in, remove
from ..prediction.strip import save_png
from .animation import draw_frames, save_gif, save_video
from .focus import have_ratios, measure_clips, report_focus
from .grid import draw_grid
from .observer import Observer


@dataclass
class Pictures:
    """What is drawn of each clip.

    Attributes:
        folder: Gets a grid per clip.
        gif: Whether it also gets a GIF per clip.
        video: Whether it also gets an MP4 video per clip.
    """

    folder: Path
    gif: bool = False
    video: bool = False

    @property
    def suffixes(self) -> list[str]:
        chosen = {'.png': True, '.gif': self.gif, '.mp4': self.video}
        return [suffix for suffix, wanted in chosen.items() if wanted]


def draw_clips(
    observers: Sequence[Observer], clips: Sequence[Clip], pictures: Pictures
) -> tuple[list[Path], list[tuple[Clip, str]]]:
    """Draw clips, the models side by side.

    The pictures that an earlier run drew of a broken clip are removed.

    Returns:
        The files, and the clips that cannot be read with the reasons.

    Raises:
        UserError: If the models lack a common stage, or a file cannot be
            written.
    """
    if len({tuple(observer.stages) for observer in observers}) > 1:
        shown = ' and '.join(str(o.stages) for o in observers)
        raise UserError(
            f'the models have the stages {shown}; give those that both have '
            'with --stages'
        )
    written, broken = [], []
    paths = paths_in(pictures.folder, clips, pictures.suffixes)
    outcomes = draw_each(observers, clips, paths)
    try:
        with closing(show_progress(outcomes, len(clips), 'draw')) as outcomes:
            for clip, targets, error in outcomes:
                if error is None:
                    written += targets
                else:
                    broken.append((clip, error))
    except OSError as error:
        path = Path(error.filename or pictures.folder)
        raise cannot_write(path, error) from error
    return written, broken


def draw_each(
    observers: Sequence[Observer],
    clips: Sequence[Clip],
    paths: Sequence[tuple[Path, ...]],
) -> Iterator[tuple[Clip, tuple[Path, ...], str | None]]:
    """Draw clip by clip; yields its files, and why it cannot be read."""
    readers = [ClipReader(clips, observer) for observer in observers]
    for index, (clip, targets) in enumerate(zip(clips, paths, strict=True)):
        samples = [reader[index] for reader in readers]
        errors = [error for _, _, error in samples if error is not None]
        if errors:
            remove(targets)
            yield clip, targets, errors[0]
            continue
        views = [
            observer.observe(data)
            for observer, (_, data, _) in zip(observers, samples, strict=True)
        ]
        frames = list(draw_frames(views)) if len(targets) > 1 else []
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix == '.png':
                save_png(target, draw_grid(views, clip.name))
            elif target.suffix == '.gif':
                save_gif(target, frames)
            else:
                save_video(target, frames)
        yield clip, targets, None


def run_focus(
    observers: Sequence[Observer], clips: Sequence[Clip], path: Path
) -> tuple[dict, list[tuple[Clip, str]]]:
    """Measure the focus of models and of their untrained forms.

    Args:
        observers: Trained models.
        clips: Of the demo data.
        path: JSON file of the report.

    Returns:
        The report, and the clips that cannot be read with the reasons.

    Raises:
        UserError: If a clip is not of the demo data, none has an object in
            view, or the file cannot be written.
    """
    pairs = [
        observer
        for trained in observers
        for observer in (trained, trained.untrained())
    ]
    measured, broken = [], []
    outcomes = measure_clips(pairs, clips)
    with closing(show_progress(outcomes, len(clips), 'measure')) as outcomes:
        for clip, (found, error) in zip(clips, outcomes, strict=True):
            if error is None:
                measured.append(found)
            else:
                broken.append((clip, error))
    ratios = [np.stack(of_model) for of_model in zip(*measured, strict=True)]
    if not ratios or not have_ratios(ratios).any():
        raise UserError(
            f'none of {len(clips)} clips can be read and has its object in '
            'view; give more clips'
        )
    report = report_focus(pairs, ratios)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, report)
    except OSError as error:
        raise cannot_write(path, error) from error
    return report, broken
