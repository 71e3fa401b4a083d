"""Unusual video files: odd, short, rotated, cut, and not videos at all."""

import os
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


def write_cover_first(path: Path, with_video=True) -> Path:
    """Write an MP4 file whose first stream is a cover picture."""
    frames = write_video(path.with_suffix('.mkv'), 12)
    cover = write_video(
        path.with_suffix('.avi'), 1, 'mjpeg', 'yuvj420p', (128, 96)
    )
    with (
        av.open(str(cover)) as covers,
        av.open(str(frames)) as moving,
        av.open(str(path), 'w') as target,
    ):
        sources = [covers, moving] if with_video else [covers]
        copies = [
            target.add_stream_from_template(source.streams.video[0])
            for source in sources
        ]
        copies[0].disposition = av.stream.Disposition.attached_pic
        for source, copy in zip(sources, copies, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
    # The muxer puts covers, which are in 'udta', behind all streams.
    content = path.read_bytes()
    index, cover = content.index(b'moov') - 4, content.index(b'udta') - 4
    header = index + 8 + int.from_bytes(content[index + 8 : index + 12], 'big')
    size = int.from_bytes(content[cover : cover + 4], 'big')
    path.write_bytes(
        content[:header]
        + content[cover : cover + size]
        + content[header:cover]
        + content[cover + size :]
    )
    return path


def write_two_streams(path: Path, default: int) -> Path:
    """Write two video streams, 64 and 96 wide; one is the default."""
    sources = [
        write_video(path.with_suffix(f'.{width}.mp4'), 8, size=(width, 48))
        for width in (64, 96)
    ]
    with av.open(str(path), 'w') as target:
        opened = [av.open(str(source)) for source in sources]
        copies = [
            target.add_stream_from_template(source.streams.video[0])
            for source in opened
        ]
        for number, copy in enumerate(copies):
            copy.disposition = av.stream.Disposition(int(number == default))
        for source, copy in zip(opened, copies, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
            source.close()
    return path


def write_lists_of_files(folder: Path):
    """Write lists that FFmpeg takes for video; they name a FIFO."""
    os.mkfifo(folder / 'pipe')
    write_video(folder / 'a.mp4', 12)
    texts = {
        'concat.mp4': 'ffconcat version 1.0\nfile pipe\n',
        'names_a_video.mp4': 'ffconcat version 1.0\nfile a.mp4\n',
        'hls.mp4': '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\npipe\n'
        '#EXT-X-ENDLIST\n',
        'dash.mp4': '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:'
        'mpd:2011" profiles="urn:mpeg:dash:profile:isoff-main:2011" type='
        '"static" mediaPresentationDuration="PT1S"><Period><AdaptationSet '
        'contentType="video"><Representation id="0" mimeType="video/mp4" '
        'bandwidth="9"><BaseURL>pipe</BaseURL></Representation>'
        '</AdaptationSet></Period></MPD>\n',
        'sdp.mp4': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\n'
        'c=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n'
        'a=rtpmap:96 H264/90000\n',
        '%d.jpg': 'a pattern for pictures\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)


def write_large_file(path: Path, size: int) -> Path:
    """Write two Motion-JPEG pictures in turn, at least ``size`` bytes."""
    two = write_video(path.with_suffix('.mov'), 2, 'mjpeg', 'yuvj420p')
    with av.open(str(two)) as source, av.open(str(path), 'w') as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        # A decoder ignores what follows a picture.
        pictures = [
            bytes(packet) + bytes(200_000)
            for packet in source.demux(stream)
            if packet.size
        ]
        for number in range(size // 200_000 + 1):
            packet = av.Packet(pictures[number % 2])
            packet.stream, packet.time_base = copy, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            target.mux(packet)
    return path
