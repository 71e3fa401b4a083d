"""The modulators of a clip as a GIF or a video: a row per stage."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from ...files import whole_file
from ..prediction.drawn_text import write_text
from ..prediction.video import add_stream
from .colours import BAR_ROOM, Scale, draw_bar, overlay_map
from .grid import FONT, GAP, MARGIN, caption, to_cell
from .modulators import KINDS
from .observer import View

CELL = 112  # pixels, height of a frame
LABEL = 62  # pixels, room of the name of a stage
FRAMES_PER_S = 4  # slow enough to compare the maps


def draw_frames(views: Sequence[View]) -> Iterator[Image.Image]:
    """Draw a picture per time step: frame, space, time and product.

    Models with another number of time steps show the step at the same share
    of the clip. Sizes are even, as videos need them.
    """
    scales = [
        {
            (stage, kind): Scale.of(of_stage[kind])
            for stage, of_stage in view.maps.items()
            for kind in KINDS
        }
        for view in views
    ]
    cells = [to_cell(view.frames[0], CELL).width for view in views]
    widths = [4 * (cell + GAP) + 3 * BAR_ROOM for cell in cells]
    header = 2 * round(1.5 * FONT) + MARGIN
    stages = len(views[0].maps)
    width = 2 * MARGIN + LABEL + sum(widths) + MARGIN * (len(views) - 1)
    height = header + stages * (CELL + GAP) + MARGIN
    steps = max(len(view.frames) for view in views)
    for step in range(steps):
        picture = Image.new('RGB', (width + width % 2, height + height % 2))
        picture.paste('white', (0, 0, *picture.size))
        draw = ImageDraw.Draw(picture)
        for row, stage in enumerate(views[0].maps):
            place = (MARGIN, header + row * (CELL + GAP) + CELL / 2)
            write_text(draw, place, f'stage {stage}', FONT, LABEL, 'black')
        left = MARGIN + LABEL
        for view, scale, full in zip(views, scales, widths, strict=True):
            index = step * len(view.frames) // steps
            write_text(
                draw, (left, MARGIN + FONT // 2), caption(view), FONT, full,
                'black',
            )  # fmt: skip
            draw_step(picture, view, scale, index, (left, header))
            left += full + MARGIN
        yield picture


def draw_step(
    picture: Image.Image,
    view: View,
    scales: dict[tuple[int, str], Scale],
    index: int,
    place: tuple[int, int],
):
    """Draw a time step of a model; ``place`` is its upper left corner."""
    left, header = place
    frame = view.frames[index]
    cell = to_cell(frame, CELL)
    draw = ImageDraw.Draw(picture)
    lefts = [left, left + cell.width + GAP]
    lefts += [lefts[1] + n * (cell.width + GAP + BAR_ROOM) for n in (1, 2)]
    for name, x in zip(('frame', *KINDS), lefts, strict=True):
        place = (x, header - FONT)
        write_text(draw, place, name, FONT, cell.width, 'black')
    for row, (stage, of_stage) in enumerate(view.maps.items()):
        top = header + row * (CELL + GAP)
        picture.paste(cell, (left, top))
        for kind, x in zip(KINDS, lefts[1:], strict=True):
            scale = scales[stage, kind]
            mixed = overlay_map(frame, of_stage[kind][index], scale)
            picture.paste(to_cell(mixed, CELL), (x, top))
            draw_bar(picture, (x + cell.width + GAP, top), CELL, scale)


def save_gif(path: Path, pictures: Sequence[Image.Image]):
    """Save an endless animation atomically, with one palette."""
    sample = np.concatenate([np.asarray(picture) for picture in pictures])
    strip = Image.fromarray(sample)
    palette = strip.quantize(256, Image.Quantize.MAXCOVERAGE)
    frames = [
        picture.quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    with whole_file(path) as part:
        frames[0].save(
            part,
            'gif',
            save_all=True,
            append_images=frames[1:],
            duration=1000 // FRAMES_PER_S,
            loop=0,
        )


def save_video(path: Path, pictures: Sequence[Image.Image]):
    """Save an MP4 video atomically."""
    rate = Fraction(FRAMES_PER_S)
    with (
        whole_file(path) as part,
        av.open(str(part), 'w', format='mp4') as container,
    ):
        stream = add_stream(container, pictures[0].size, rate)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
