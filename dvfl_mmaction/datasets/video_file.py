"""Open the video stream of a file, and no other file."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction

import av
import numpy as np

from ..errors import UserError

# libav's log lines name no file; the errors below carry the reason.
av.logging.set_level(None)

TIMEOUT_S = 60.0
TIMED_OUT = 'reading takes longer than'
# Readers that open other files or addresses, or that take text for video.
REFUSED_FORMATS = {
    *('concat', 'dash', 'hls', 'imf', 'webm_dash_manifest', 'vobsub'),
    *('rtp', 'rtsp', 'sap', 'sdp', 'image2', 'image2pipe', 'dvdvideo'),
    *('avisynth', 'vapoursynth', 'lavfi', 'ffmetadata'),
    *('adf', 'bin', 'idf', 'tty', 'xbin'),
}
CONTAINER_OPTIONS = dict(
    format_whitelist=','.join(
        name  # or several, separated by commas
        for name in sorted(av.formats_available)
        if REFUSED_FORMATS.isdisjoint(name.split(','))
    ),
    protocol_whitelist='file',
)


UNKNOWN_RATE = 25  # frames per second
MOST_DENOMINATOR = 1001  # of a frame rate: 30000/1001 is NTSC's
# Most streams of a file; FFmpeg refuses more.
MOST_STREAMS = 1000
# Of a picture; None for no limit.
most_pixels: ContextVar[int | None] = ContextVar('most_pixels', default=None)


class BrokenClipError(Exception):
    """A clip that cannot be read; the message is the reason, one line."""


class TimeLimit:
    """A limit on the time that reading takes.

    Args:
        seconds: The limit; None for none.

    Raises:
        UserError: If it is no number above 0.
    """

    def __init__(self, seconds: float | None):
        number = isinstance(seconds, int | float) and seconds > 0
        if seconds is not None and not number:
            raise UserError(
                f'timeout_s is {seconds!r}; give a number of seconds above '
                '0, or None for no limit'
            )
        self.seconds = seconds
        self.start()

    def start(self, spent: float = 0.0):
        """Begin anew; ``spent`` seconds count already."""
        self._began = time.monotonic() - spent

    def elapsed(self) -> float:
        """Seconds since the start, pauses excluded."""
        return time.monotonic() - self._began

    def pause(self, seconds: float):
        """Do not count some seconds."""
        self._began += seconds

    def check(self):
        """
        Raises:
            BrokenClipError: If the limit is exceeded.
        """
        if self.seconds is not None and self.elapsed() > self.seconds:
            raise BrokenClipError(self.reason())

    def reason(self) -> str:
        return f'{TIMED_OUT} {self.seconds:g} s'


@contextmanager
def limit_pixels(count: int) -> Iterator[None]:
    """Limit the pixels per picture of the files that are opened meanwhile.

    The decoder refuses a larger picture before it takes memory for it, also
    one in the middle of a stream.
    """
    token = most_pixels.set(count)
    try:
        yield
    finally:
        most_pixels.reset(token)


def open_video(
    path: str, limit: TimeLimit
) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """Open a file and choose its video stream.

    Args:
        path: A regular file.
        limit: Also the longest time that one packet may take.

    Returns:
        The container, and the stream of :func:`best_video`. Its decoder
        is new and uses one thread.

    Raises:
        BrokenClipError: If the file is missing, is not a video, or has no
            video stream that can be decoded.
    """
    if not os.path.isfile(path):
        raise BrokenClipError(
            'not a regular file' if os.path.exists(path) else 'file not found'
        )
    if not os.path.getsize(path):
        raise BrokenClipError('the file is empty')
    most = most_pixels.get()
    decoding = {} if most is None else dict(max_pixels=str(most))
    try:
        container = av.open(
            f'file:{path}',  # otherwise "http:" in a name is a protocol
            # FFmpeg decodes the first pictures to know the streams.
            stream_options=[decoding] * (MOST_STREAMS if decoding else 0),
            metadata_errors='ignore',
            container_options=CONTAINER_OPTIONS,
            timeout=limit.seconds,
        )
    except av.error.ExitError:
        raise BrokenClipError(limit.reason()) from None
    except (av.FFmpegError, OSError) as error:
        reason = decoder_reason(error)
        if isinstance(error, av.error.ArgumentError):
            reason += ' (text and lists of other files are refused)'
        raise BrokenClipError(f'not a video: {reason}') from None
    try:
        stream = best_video(container)
        if stream is None:
            raise BrokenClipError('the file has no video stream')
        if stream.codec_context is None:
            raise BrokenClipError('no decoder for the video stream')
        stream.codec_context.thread_count = 1
        stream.codec_context.options = decoding
        limit.check()
    except BaseException:
        container.close()
        raise
    return container, stream


def best_video(container) -> av.video.stream.VideoStream | None:
    """FFmpeg's best video stream, but no cover picture or thumbnail."""
    covers = av.stream.Disposition.attached_pic
    covers |= av.stream.Disposition.timed_thumbnails
    best = container.streams.best('video')
    if best is None or not best.disposition & covers:
        return best
    moving = [s for s in container.streams.video if not s.disposition & covers]
    return max(
        moving, key=lambda s: s.width * s.height, default=None
    )  # the first of the largest, as the ffmpeg command chooses


def decoder_reason(error: Exception) -> str:
    """FFmpeg's reason in one line, without the name of the file."""
    reason = getattr(error, 'strerror', None) or str(error)
    return ' '.join(reason.split()) or type(error).__name__


def rate_of_copy(avg_fps: float) -> Fraction:
    """The frame rate of a file with the frames of another one, above 0.

    Args:
        avg_fps: Frames per second of the other file; 0 if unknown.
    """
    if 0 < avg_fps < 1:  # time lapse: rounded, the rate could become 0
        return 1 / Fraction(1 / avg_fps).limit_denominator(MOST_DENOMINATOR)
    rate = Fraction(avg_fps or UNKNOWN_RATE)
    return rate.limit_denominator(MOST_DENOMINATOR)


def rgb_picture(
    frame: av.VideoFrame, width: int | None = None, height: int | None = None
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a frame, scaled and then rotated.

    Args:
        frame: As the decoder returns it.
        width: Before the rotation; None for that of the frame.
        height: Likewise.

    Raises:
        BrokenClipError: If its pixel format cannot be converted.
    """
    try:
        image = frame.to_ndarray(
            format='rgb24',
            width=width,
            height=height,
            threads=1,  # otherwise each frame starts a pool
        )
    except (av.FFmpegError, ValueError, OSError) as error:
        raise BrokenClipError(
            f'{decoder_reason(error)}, from {frame.format.name} to RGB'
        ) from None
    quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise
    if quarter_turns:
        image = np.ascontiguousarray(np.rot90(image, quarter_turns))
    return image
