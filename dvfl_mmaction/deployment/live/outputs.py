"""JSON lines and a video of a stream."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import av
from PIL import Image

from ...analysis.prediction.bars import top_classes
from ...analysis.prediction.report import rounded
from ...analysis.prediction.video import add_stream
from ...files import whole_file, without_nan
from .frames import Answer

TIME_BASE = Fraction(1, 1000)
NOMINAL_RATE = 25  # the time stamps count


def answer_line(
    answer: Answer, name_of: Callable[[int], str], top: int
) -> str:
    """An answer as one line of JSON, which has null for NaN."""
    line = dict(
        frame=answer.index,
        time_s=round(answer.time_s, 3),
        lag_ms=round(1e3 * answer.lag_s, 1),
        predictions=[
            {
                'class': index,
                'name': name_of(index),
                'probability': rounded(answer.scores[index]),
            }
            for index in top_classes(answer.scores, top)
        ],
    )
    return json.dumps(without_nan(line), ensure_ascii=False, allow_nan=False)


def write_line(file: TextIO, line: str):
    """Write a line so that a reader of the file sees it at once."""
    file.write(line + '\n')
    file.flush()


class VideoOutput:
    """An MP4 file whose frames have the times of the source.

    Args:
        container: Open for writing.
    """

    def __init__(self, container: av.container.OutputContainer):
        self.container = container
        self._stream, self._last = None, -1

    def write(self, picture: Image.Image, time_s: float):
        """Add a picture; all get the size of the first one."""
        if self._stream is None:
            self._stream = add_stream(
                self.container, picture.size, Fraction(NOMINAL_RATE)
            )
            self._stream.codec_context.time_base = TIME_BASE
        frame = av.VideoFrame.from_image(picture)  # scaled by the encoder
        self._last = max(self._last + 1, round(time_s / TIME_BASE))
        frame.pts, frame.time_base = self._last, TIME_BASE
        self.container.mux(self._stream.encode(frame))

    @property
    def is_empty(self) -> bool:
        """Whether it has no frame."""
        return self._stream is None

    def finish(self):
        """Write what the encoder holds back."""
        self.container.mux(self._stream.encode(None))


class NoFrames(Exception):
    """A video got no frames, so there is no file of it."""


@contextmanager
def video_output(path: Path) -> Iterator[VideoOutput]:
    """A video that replaces ``path`` once it is finished.

    Without a frame, ``path`` stays as it was.
    """
    with (
        suppress(NoFrames),
        whole_file(path) as part,
        av.open(str(part), 'w', format='mp4') as container,
    ):
        video = VideoOutput(container)
        yield video
        if video.is_empty:
            raise NoFrames
        video.finish()
