"""Open cameras, files and addresses as sequences of pictures."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from ...datasets.video_file import (
    BrokenClipError,
    TimeLimit,
    best_video,
    decoder_reason,
    open_video,
    rgb_picture,
)
from .frames import SourceError

UNKNOWN_RATE = 25
# Successive packets that cannot be decoded; after that the source is lost.
MOST_FAULTS = 100
# What a stream may open. Local files are not among them, so a play list of
# a server reads none.
PROTOCOLS = (
    'http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,srtp,crypto,hls'
)


@dataclass
class OpenedSource:
    """A source that is open.

    Attributes:
        pictures: (time in s, (H, W, 3) uint8 RGB); the time is None for live
            sources. Raises :class:`SourceError` if the source is lost.
        close: Releases it.
        is_live: Whether it comes at its own speed and has no end.
        num_frames: Of a recording; None if unknown.
        seek: Continues a recording after a time in s; raises
            :class:`SourceError` if that fails. None for a live source.
        frame_s: Time that a frame lasts, by its header, in s.
        is_file: Whether it is a file of this machine, which is not lost.
    """

    pictures: Iterator[tuple[float | None, np.ndarray]]
    close: Callable[[], object]
    is_live: bool = False
    num_frames: int | None = None
    seek: Callable[[float], object] | None = None
    frame_s: float = 1 / UNKNOWN_RATE
    is_file: bool = False


def opener_of(
    source: str, timeout_s: float = 10.0
) -> Callable[[], OpenedSource]:
    """The function that opens a source.

    Args:
        source: Number of a camera, an address (``rtsp://…``), or a file.
        timeout_s: Longest time in s for opening it, and for a packet.
    """
    if source.isascii() and source.isdigit():
        return lambda: open_camera(int(source))
    if '://' in source:
        return lambda: open_address(source, timeout_s)
    return lambda: open_file(source, timeout_s)


def open_camera(number: int) -> OpenedSource:
    """Open a camera.

    Raises:
        SourceError: If there is none.
    """
    # The error below says it.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        camera.release()
        raise SourceError(f'camera {number} cannot be opened')
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def pictures():
        while True:
            is_read, image = camera.read()
            if not is_read:
                raise SourceError(f'camera {number} returns no picture')
            yield None, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    return OpenedSource(pictures(), camera.release, is_live=True)


def open_file(path: str, timeout_s: float) -> OpenedSource:
    """Open a video file.

    Raises:
        SourceError: If it is missing, or is not a video.
    """
    try:
        path = str(Path(path).expanduser())
        container, stream = open_video(path, TimeLimit(timeout_s))
    except BrokenClipError as error:
        raise SourceError(str(error)) from None
    opened = of_container(container, stream, is_live=False)
    opened.is_file = True
    return opened


def open_address(address: str, timeout_s: float) -> OpenedSource:
    """Open an address. Without a known duration it is live.

    Raises:
        SourceError: If it does not answer, or has no video stream.
    """
    options = dict(protocol_whitelist=PROTOCOLS)
    if address.startswith('rtsp'):
        # A lost packet of UDP breaks the picture until the next key frame.
        options['rtsp_transport'] = 'tcp'
    try:
        container = av.open(
            address,
            metadata_errors='ignore',
            container_options=options,
            timeout=timeout_s,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(decoder_reason(error)) from None
    stream = best_video(container)
    if stream is None or stream.codec_context is None:
        container.close()
        raise SourceError('no video stream that can be decoded')
    # A cut connection ends with a broken picture, which is read again.
    return of_container(
        container, stream, not container.duration, skip_broken=True
    )


def decoded_frames(container, stream) -> Iterator[av.VideoFrame]:
    """All frames that can be decoded.

    A packet that is damaged on the way to a live source costs a picture, not
    the stream.
    """
    faults = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            faults += 1
            if faults > MOST_FAULTS:
                raise
            continue
        if frames:
            faults = 0
        yield from frames


def of_container(
    container, stream, is_live: bool, skip_broken: bool = False
) -> OpenedSource:
    """The pictures of an open container.

    Args:
        container: The container.
        stream: Its video stream.
        is_live: Whether it comes at its own speed.
        skip_broken: Leave out the broken pictures of a recording.
    """
    rate = float(stream.average_rate or UNKNOWN_RATE)
    start = float((stream.start_time or 0) * stream.time_base)
    duration = (container.duration or 0) / av.time_base
    sought = dict(after_s=-math.inf)

    def seek(time_s: float):
        at = int((start + time_s) / stream.time_base)
        try:
            container.seek(at, stream=stream)
        except (av.FFmpegError, OSError) as error:
            reason = decoder_reason(error)
            raise SourceError(f'no way to {time_s:.1f} s: {reason}') from None
        sought['after_s'] = time_s

    def pictures():
        count, last = 0, 0.0
        try:
            for frame in decoded_frames(container, stream):
                time_s = count / rate
                if frame.time is not None:
                    time_s = frame.time - start
                count += 1
                if skip_broken and not is_live and frame.is_corrupt:
                    continue
                if (
                    sought['after_s'] is not None
                    and time_s <= sought['after_s']
                ):
                    continue
                last = max(last, time_s)
                yield None if is_live else last, rgb_picture(frame)
        except (av.FFmpegError, BrokenClipError, OSError) as error:
            raise SourceError(decoder_reason(error)) from None
        if is_live:
            raise SourceError('the stream ended')

    return OpenedSource(
        pictures(),
        container.close,
        is_live,
        stream.frames or round(duration * rate) or None,
        seek,
        1 / rate,
    )
