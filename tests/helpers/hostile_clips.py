"""Unusual video files: odd, short, rotated, cut, and not videos at all."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 64, 48


def grey_of(number: int) -> int:
    """The grey of a frame, which encodes its number."""
    return 20 + 5 * number


def write_video(
    path: Path,
    frames: int,
    codec='libx264',
    pixels='yuv420p',
    size=(WIDTH, HEIGHT),
    times=None,
    options=None,
) -> Path:
    """Write frames of grey ``grey_of(k)`` with a black left edge.

    Args:
        size: (width, height).
        times: Time of each frame in ms; 40 ms apart by default.
    """
    width, height = size
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.bit_rate = 4_000_000
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, 1000 if times else 25)
        for number in range(frames):
            image = np.full((height, width, 3), grey_of(number), np.uint8)
            image[:, : width // 4] = 0
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts = times[number] if times else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def packets(path: Path) -> list[av.Packet]:
    """Packets of the video stream; ``pos`` is the offset in the file."""
    with av.open(str(path)) as container:
        return [p for p in container.demux(video=0) if p.size]


def turn(path: Path) -> Path:
    """Set a rotation by a quarter turn in an MP4 file, as telephones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b'tkhd') + 4 + 40  # version 0: 40 bytes before it
    fixed = [0, 1 << 16, 0, -(1 << 16) % 2**32, 0, 0, 0, 0, 1 << 30]
    for i, value in enumerate(fixed):
        at = matrix + 4 * i
        content[at : at + 4] = value.to_bytes(4, 'big')
    path.write_bytes(content)
    return path


def write_readable(folder: Path) -> list[str]:
    """Write unusual files that can be read; returns all names."""
    write_video(folder / 'one_frame.mp4', 1)
    write_video(folder / 'two_frames.avi', 2, codec='mpeg4')
    write_video(folder / 'seven_frames.mkv', 7)
    write_video(folder / 'grey.mp4', 16, pixels='gray')
    write_video(folder / 'odd_444.mp4', 16, pixels='yuv444p', size=(171, 129))
    write_video(folder / 'ten_bit.mkv', 16, pixels='yuv420p10le')
    write_video(folder / 'tiny.mp4', 16, size=(16, 16))
    write_video(folder / 'vp9.webm', 16, codec='libvpx-vp9')
    write_video(folder / 'name with spaces ünï (1).avi', 16, codec='mpeg4')
    times = np.cumsum([0, *[10, 33, 40, 120, 400] * 3]).tolist()
    write_video(folder / 'variable_rate.mkv', 16, times=times)
    turn(write_video(folder / 'turned.mp4', 16))
    whole = write_video(folder / 'whole.avi', 30, codec='mpeg4')
    end = packets(whole)[20].pos
    (folder / 'truncated.avi').write_bytes(whole.read_bytes()[:end])
    return sorted(path.name for path in folder.iterdir())


def write_broken(folder: Path) -> list[str]:
    """Write files that cannot be read; returns all names."""
    (folder / 'empty.mp4').write_bytes(b'')
    (folder / 'text.mp4').write_text('this is a text\n')
    with av.open(str(folder / 'sound_only.mp4'), 'w') as container:
        stream = container.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format='fltp', layout='mono'
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = write_video(folder / 'overwritten.mp4', 30)
    content = bytearray(whole.read_bytes())
    start = content.index(b'mdat') + 8
    noise = np.random.default_rng(0).integers(0, 256, len(content) - start)
    content[start:] = noise.astype(np.uint8).tobytes()
    # The index at the end of the MP4 file is kept.
    index = whole.read_bytes().index(b'moov') - 4
    content[index:] = whole.read_bytes()[index:]
    whole.write_bytes(content)
    return sorted(path.name for path in folder.iterdir())
