"""What a visitor of the page may upload."""

from dataclasses import dataclass
from pathlib import Path

import av

from ...analysis.text import printable
from ...datasets.video_file import (
    TIMEOUT_S,
    BrokenClipError,
    TimeLimit,
    decoder_reason,
    limit_pixels,
    open_video,
)
from ...errors import UserError

OPEN_S = 10.0  # longest time that opening a file may take
MOST_PIXELS = 2**31 - 1  # the largest limit that FFmpeg takes
# Long side over short side. Pipelines scale the short one, so that a strip
# of a few pixels would become gigabytes.
MOST_RATIO = 10


@dataclass(frozen=True)
class Limits:
    """Limits of a clip.

    Attributes:
        size_mb: Largest file, in MB.
        length_s: Longest clip, in s.
        megapixels: Largest picture; 4096 x 2304 has 9.44.
    """

    size_mb: float = 100.0
    length_s: float = 120.0
    megapixels: float = 9.5

    @property
    def pixels(self) -> int:
        """Most pixels of a picture."""
        return round(min(1e6 * self.megapixels, MOST_PIXELS))

    @property
    def decoded_pixels(self) -> int:
        """The same for decoders, which add an edge to a picture."""
        return min(self.pixels + self.pixels // 10 + 2**16, MOST_PIXELS)


@dataclass(frozen=True)
class CheckedClip:
    """A file within the limits.

    Attributes:
        path: Of the file.
        length_s: Its length.
        num_frames: Number of its packets, which the header may not have.
        limits: Its pictures are known only once they are decoded.
    """

    path: str
    length_s: float
    num_frames: int
    limits: Limits

    @property
    def name(self) -> str:
        """Name of the file, for messages."""
        return printable(Path(self.path).name)


def check_clip(path: str, limits: Limits) -> CheckedClip:
    """Check a file before it is decoded.

    Raises:
        UserError: If it is not a video, or exceeds a limit.
    """
    name = printable(Path(path).name)
    try:
        size_mb = Path(path).stat().st_size / 1e6
        if size_mb > limits.size_mb:
            raise UserError(
                f'{name} has {size_mb:.1f} MB but at most '
                f'{limits.size_mb:g} MB are taken; give a smaller video'
            )
        length_s, num_frames = measure_length(path, limits)
    except BrokenClipError as error:
        raise UserError(
            f'{name} cannot be read: {error}; give a video, such as MP4, '
            'WebM or AVI'
        ) from None
    if length_s > limits.length_s:
        raise UserError(
            f'{name} is longer than {limits.length_s:g} s; cut it, or raise '
            '--max-seconds of the server'
        )
    return CheckedClip(path, length_s, num_frames, limits)


def check_pictures(clip: CheckedClip):
    """Decode a clip, to find pictures that are larger than its header says.

    Packets that cannot be decoded are left to those who read the clip.

    Raises:
        UserError: If a picture is too large, or the file ends in a fault.
    """
    limit = TimeLimit(TIMEOUT_S)
    try:
        with limit_pixels(clip.limits.decoded_pixels):
            container, stream = open_video(clip.path, limit)
        with container:
            decoder = stream.codec_context
            for packet in container.demux(stream):
                limit.check()
                try:
                    packet.decode()
                except MemoryError:  # FFmpeg's MPEG-4 decoder refuses so
                    check_size(clip.name, 0, 0, clip.limits)
                except av.FFmpegError:
                    size = decoder.width, decoder.height
                    check_size(clip.name, *size, clip.limits)
    except (av.FFmpegError, OSError, BrokenClipError) as error:
        raise UserError(
            f'{clip.name} cannot be read: {decoder_reason(error)}; give '
            'another video'
        ) from None


def check_size(name: str, width: int, height: int, limits: Limits):
    """
    Raises:
        UserError: If pictures are too large or too narrow, or of no size:
            decoders forget one that they refuse.
    """
    if 0 < width * height <= limits.pixels:
        if max(width, height) > MOST_RATIO * min(width, height):
            raise UserError(
                f'{name} has pictures of {width} x {height} pixels, one side '
                f'more than {MOST_RATIO} times the other; crop it'
            )
        return
    most = f'{limits.megapixels:g} megapixels'
    if width * height:
        what = f'of {width} x {height} pixels but at most {most} are taken'
    else:
        what = f'of more than {most}, or of unknown size'
    raise UserError(
        f'{name} has pictures {what}; scale it down, or raise '
        '--max-megapixels of the server'
    )


def measure_length(path: str, limits: Limits) -> tuple[float, int]:
    """Length of a video in s, by the time stamps of its packets.

    The header is not trusted: browsers record without a duration.

    Args:
        path: The file.
        limits: Reading stops once more than their length is seen.

    Returns:
        The length, and the number of packets up to it.

    Raises:
        BrokenClipError: If it cannot be opened or read.
        UserError: If its header has pictures that are too large.
    """
    with limit_pixels(limits.decoded_pixels):
        container, stream = open_video(path, TimeLimit(OPEN_S))
    with container:
        decoder = stream.codec_context
        name = printable(Path(path).name)
        check_size(name, decoder.width, decoder.height, limits)
        start, end, count = None, 0.0, 0
        try:
            for packet in container.demux(stream):
                count += packet.size > 0
                if packet.pts is None:
                    continue
                begin = float(packet.pts * packet.time_base)
                start = begin if start is None else min(start, begin)
                shown = float((packet.duration or 0) * packet.time_base)
                end = max(end, begin + shown)
                if end - start > limits.length_s:
                    break
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(decoder_reason(error)) from None
    return end - (start or 0.0), count
