"""A part of a decoded frame, in RGB, without making all of it RGB first."""

import av
import cv2
import numpy as np

# 8 bits a sample, in three planes.
PLANAR = {
    f'yuv{full}{kind}p' for full in ('', 'j') for kind in ('420', '422', '444')
}
# Shares of red and blue in luma (Kr, Kb), by AVColorSpace. FFmpeg takes what
# is not marked for BT.601, whatever the size.
LUMA_SHARES = {
    **dict.fromkeys((2, 5, 6), (0.299, 0.114)),  # unknown, BT.601 twice
    1: (0.2126, 0.0722),  # BT.709
}
FULL_RANGE = 2  # an AVColorRange


def can_crop(frame: av.VideoFrame) -> bool:
    """Whether :func:`crop_rgb` takes the frame."""
    return frame.format.name in PLANAR and frame.colorspace in LUMA_SHARES


def crop_rgb(
    frame: av.VideoFrame,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    interpolation: int,
    out: np.ndarray,
):
    """Cut a box out of a frame, scale it, and make it RGB.

    The planes are scaled before they become colours, colour from the
    resolution it is stored in. Edges of the box move to even pixels, by
    one at the most, so that luma and colour are cut alike.

    Args:
        frame: One that :func:`can_crop` takes.
        box: Left, top, right, bottom, in pixels of the frame.
        size: (width, height) of the result.
        interpolation: OpenCV's number.
        out: What is written, (height, width, 3) uint8.
    """
    left, right = even_edges(box[0], box[2], frame.width)
    top, bottom = even_edges(box[1], box[3], frame.height)
    scaled = []
    for plane in frame.planes:
        wide = 1 if plane.width == frame.width else 2
        high = 1 if plane.height == frame.height else 2
        pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        part = pixels[
            top // high : bottom // high, left // wide : right // wide
        ]
        scaled.append(cv2.resize(part, size, interpolation=interpolation))
    cv2.transform(cv2.merge(scaled), rgb_matrix(frame), dst=out)


def even_edges(start: float, end: float, length: int) -> tuple[int, int]:
    """The nearest even numbers, at least 2 apart, within ``length``."""
    last = length // 2
    first = min(round(start / 2), last - 1)
    return 2 * first, 2 * min(max(round(end / 2), first + 1), last)


def rgb_matrix(frame: av.VideoFrame) -> np.ndarray:
    """What makes RGB of (Y, Cb, Cr, 1), all from 0 to 255; (3, 4)."""
    red, blue = LUMA_SHARES[frame.colorspace]
    green = 1 - red - blue
    full = frame.color_range == FULL_RANGE or frame.format.name.startswith(
        'yuvj'
    )
    black = 0 if full else 16
    luma = 1 if full else 255 / 219
    colour = 2 if full else 2 * 255 / 224
    to_red, to_blue = colour * (1 - red), colour * (1 - blue)
    matrix = np.array(
        [
            [luma, 0, to_red],
            [luma, -to_blue * blue / green, -to_red * red / green],
            [luma, to_blue, 0],
        ]
    )
    offset = matrix @ (-black, -128, -128)
    return np.column_stack([matrix, offset])
