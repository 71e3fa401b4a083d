"""Videos with the prediction of the model as bars."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ...datasets.video_file import rate_of_copy
from ...datasets.video_reader import VideoReader
from ...files import whole_file
from .bars import Row, draw_panel, overlay

# H.264 where the build of PyAV has it; each of them is read everywhere.
CODECS = ('libx264', 'mpeg4')
SMALLEST_HEIGHT = 240  # smaller videos are scaled up, for legible text


def write_video(source: Path, target: Path, rows: Sequence[Row]):
    """Copy a video to MP4 with bars in the lower left corner.

    Sound is left out, and all frames last equally long. Odd sizes lose a row
    or a column of pixels.

    Args:
        source: The video.
        target: The new file.
        rows: The bars.

    Raises:
        BrokenClipError: If a frame of the video cannot be decoded; there is
            no new file then.
    """
    with VideoReader(source) as reader, whole_file(target) as part:
        rate = rate_of_copy(reader.avg_fps)
        with av.open(str(part), 'w', format='mp4') as container:
            stream = panel = None
            for number, frame in enumerate(reader.frames()):
                picture = enlarge(reader.to_rgb(frame))
                if stream is None:
                    stream = add_stream(container, picture.size, rate)
                    panel = draw_panel(*picture.size, rows)
                overlay(picture, panel)
                frame = av.VideoFrame.from_image(picture)
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def enlarge(image: np.ndarray) -> Image.Image:
    """Make a picture of an even size, 240 pixels high or more."""
    height, width = image.shape[:2]
    factor = -(-SMALLEST_HEIGHT // height)
    picture = Image.fromarray(image[: height & ~1 or 1, : width & ~1 or 1])
    width, height = (max(2, side * factor & ~1) for side in picture.size)
    return picture.resize((width, height)) if factor > 1 else picture


def add_stream(
    container, size: tuple[int, int], rate: Fraction
) -> av.video.stream.VideoStream:
    """Add a video stream of a size, (width, height)."""
    codec = next(name for name in CODECS if name in av.codecs_available)
    stream = container.add_stream(codec, rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = 'yuv420p'
    stream.codec_context.time_base = 1 / rate
    if codec == 'libx264':
        stream.options = dict(crf='20', preset='veryfast')
    else:
        stream.bit_rate = 8_000_000
    return stream
