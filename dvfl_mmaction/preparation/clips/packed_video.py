"""Write a clip as Motion-JPEG in AVI, where each frame decodes alone."""

from pathlib import Path

import av

from ...datasets.video_file import rate_of_copy
from ...datasets.video_reader import BrokenClipError, VideoReader


def write_packed(
    source: Path,
    target: Path,
    short_side: int,
    quality: int,
    timeout_s: float | None = None,
) -> int:
    """Encode a clip again, every frame as a JPEG picture.

    Number and order of the frames are those of :class:`VideoReader`. Frames
    are rotated as the file asks, and never enlarged. Sound and time stamps
    are dropped: the frame rate is the source's average.

    Args:
        source: Any clip that VideoReader reads.
        target: The AVI file to write.
        short_side: Pixels, if the source has more; made even.
        quality: libavcodec's scale, 2 (best) to 31.
        timeout_s: Longest time to read the source, in s.

    Returns:
        Frames written.

    Raises:
        BrokenClipError: If the source cannot be read to its end.
        OSError: If the target cannot be written.
    """
    count, stream = 0, None
    with (
        VideoReader(source, timeout_s) as reader,
        av.open(str(target), 'w') as packed,
    ):
        for frame in reader.frames():
            picture = frame
            if frame.rotation:
                image = reader.to_rgb(frame)
                picture = av.VideoFrame.from_ndarray(image, format='rgb24')
            if stream is None:
                size = packed_size(picture.width, picture.height, short_side)
                stream = add_stream(packed, size, quality, reader.avg_fps)
            # Directly, since a step in RGB would subsample colours twice.
            # A JPEG picture is BT.601, whatever its source is.
            picture = picture.reformat(
                *size,
                format='yuvj420p',
                dst_colorspace='ITU601',
                interpolation='BICUBIC',
            )
            picture.pts = count
            picture.time_base = stream.codec_context.time_base
            packed.mux(stream.encode(picture))
            count += 1
        if not count:
            raise BrokenClipError('no frame can be decoded')
        packed.mux(stream.encode(None))
    return count


def add_stream(packed, size: tuple[int, int], quality: int, avg_fps: float):
    rate = rate_of_copy(avg_fps)
    options = dict(qmin=str(quality), qmax=str(quality))
    stream = packed.add_stream('mjpeg', rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = 'yuvj420p'
    stream.codec_context.time_base = 1 / rate
    stream.codec_context.thread_count = 1
    return stream


def packed_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Even width and height, with a short side of at most ``short_side``.

    The aspect ratio is kept, except for rounding.
    """
    scale = min(1, short_side / min(width, height))
    rounding = round if scale < 1 else int  # an odd side loses one pixel
    return tuple(
        max(2, 2 * rounding(side * scale / 2)) for side in (width, height)
    )
