"""One clip as Motion-JPEG in AVI: any frame is decoded by itself."""

from fractions import Fraction
from pathlib import Path

import av

from ...datasets.video_reader import BrokenClipError, VideoReader


def write_packed(
    source: Path, target: Path, short_side: int, quality: int
) -> int:
    """Encode a clip again, every frame as a JPEG picture.

    The frames are those that :class:`VideoReader` gives, turned, as many and
    in the same order; never enlarged. Sound and time stamps are left out:
    the frame rate is the source's average.

    Args:
        source: A clip of any kind.
        target: The AVI file to write.
        short_side: Pixels, if the source has more; made even.
        quality: libavcodec's scale, 2 (best) to 31.

    Returns:
        Frames written.

    Raises:
        BrokenClipError: If the source cannot be read to its end.
        OSError: If the target cannot be written.
    """
    count, stream = 0, None
    with VideoReader(source) as reader, av.open(str(target), 'w') as packed:
        for frame in reader.frames():
            picture = frame
            if frame.rotation:
                image = reader.to_rgb(frame)
                picture = av.VideoFrame.from_ndarray(image, format='rgb24')
            if stream is None:
                size = packed_size(picture.width, picture.height, short_side)
                stream = add_stream(packed, size, quality, reader.avg_fps)
            # Not by way of RGB, which would thin the colours out twice. A
            # JPEG picture is BT.601 whatever its source was.
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
    rate = Fraction(avg_fps or 25).limit_denominator(1001)
    options = dict(qmin=str(quality), qmax=str(quality))
    stream = packed.add_stream('mjpeg', rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = 'yuvj420p'
    stream.codec_context.time_base = 1 / rate
    stream.codec_context.thread_count = 1
    return stream


def packed_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Even width and height; the short side as asked, or what there is.

    The ratio of the sides is kept to within the rounding.
    """
    scale = min(1, short_side / min(width, height))
    rounding = round if scale < 1 else int  # of an odd side a row goes
    return tuple(
        max(2, 2 * rounding(side * scale / 2)) for side in (width, height)
    )
