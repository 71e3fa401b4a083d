"""What a visitor of the page may upload."""

from dataclasses import dataclass
from pathlib import Path

import av

from ...analysis.text import printable
from ...datasets.video_file import (
    BrokenClipError,
    TimeLimit,
    decoder_reason,
    open_video,
)
from ...errors import UserError

OPEN_S = 10.0  # longest time that opening a file may take


@dataclass(frozen=True)
class Limits:
    """Limits of a clip.

    Attributes:
        size_mb: Largest file, in MB.
        length_s: Longest clip, in s.
    """

    size_mb: float = 100.0
    length_s: float = 120.0


def check_clip(path: str, limits: Limits) -> float:
    """Check a file before it is decoded.

    Returns:
        Its length in s.

    Raises:
        UserError: If it is not a video, too large or too long.
    """
    name = printable(Path(path).name)
    try:
        size_mb = Path(path).stat().st_size / 1e6
        if size_mb > limits.size_mb:
            raise UserError(
                f'{name} has {size_mb:.1f} MB but at most '
                f'{limits.size_mb:g} MB are taken; give a smaller video'
            )
        length_s = measure_length(path, limits.length_s)
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
    return length_s


def measure_length(path: str, enough_s: float) -> float:
    """Length of a video in s, by the time stamps of its packets.

    The header is not trusted: browsers record without a duration.

    Args:
        path: The file.
        enough_s: Reading stops once more is seen.

    Raises:
        BrokenClipError: If it cannot be opened or read.
    """
    container, stream = open_video(path, TimeLimit(OPEN_S))
    with container:
        start, end = None, 0.0
        try:
            for packet in container.demux(stream):
                if packet.pts is None:
                    continue
                begin = float(packet.pts * packet.time_base)
                start = begin if start is None else min(start, begin)
                shown = float((packet.duration or 0) * packet.time_base)
                end = max(end, begin + shown)
                if end - start > enough_s:
                    break
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(decoder_reason(error)) from None
    return end - (start or 0.0)
