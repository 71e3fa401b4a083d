"""Random sets of frames are those of decoding in turn, whatever the file."""

import os
import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from dvfl_mmaction.datasets import video_reader
from dvfl_mmaction.datasets.video_reader import BrokenClipError, VideoReader

FRAMES = 40
SETS = 1, 1, 2, 8, 8, 20
X264 = 'libx264', 'preset=veryfast', 'threads=1'
X265 = 'libx265', 'preset=ultrafast', 'pools=none:frame-threads=1'
MPEG4, MJPEG = ('mpeg4', '', ''), ('mjpeg', '', '')
VP9 = 'libvpx-vp9', 'cpu-used=8 deadline=realtime', ''
AV1 = 'libsvtav1', 'preset=12 threads=1', 'lp=1'
MP4 = 'mp4 mov mkv ts flv fragments.mp4 hidden.mp4 later.mp4 later.mkv cut.mp4'
H265 = 'mp4 mov mkv ts fragments.mp4 hidden.mp4 later.mkv cut.mkv'
AVI = 'avi mp4 mov mkv ts hidden.mp4 later.mp4 cut.avi'
WEBM = 'mkv mp4 webm fragments.mp4 later.mkv'

# Encoder; its options; the encoder library's own options; containers.
CASES = {
    'h264_plain': (X264, 'g=12 bf=0', '', MP4),
    'h264_b': (X264, 'g=12 bf=3', 'b-adapt=0:b-pyramid=none', MP4),
    'h264_pyramid': (X264, 'g=15 bf=3', 'b-adapt=0:b-pyramid=normal', MP4),
    'h264_strict': (X264, 'g=15 bf=3', 'b-adapt=0:b-pyramid=strict', MP4),
    'h264_deep': (X264, 'g=30 bf=8 refs=6', 'b-adapt=2:b-pyramid=normal', MP4),
    'h264_open': (X264, 'g=10 bf=3', 'b-adapt=0:open-gop=1', MP4),
    'h264_long': (X264, 'g=250 bf=3', 'scenecut=0', 'mp4 mkv ts flv cut.mkv'),
    'h264_intra': (X264, 'g=1', '', 'mp4 mkv flv ts'),
    'h264_refresh': (X264, 'g=20', 'intra-refresh=1', 'mp4 mkv ts cut.mkv'),
    'h264_slices': (X264, 'g=12 bf=2', 'slices=4', 'mp4 mkv ts'),
    'h264_fields': (X264, 'g=12 bf=3', 'tff=1', 'mp4 mkv ts'),
    'h264_fake_fields': (X264, 'g=12 bf=2', 'fake-interlaced=1', 'mp4 mkv'),
    'h264_temporal': (X264, 'g=20 bf=3', 'direct=temporal', 'mp4 mkv'),
    'h264_headers': (X264, 'g=8 bf=2', 'repeat-headers=1:aud=1', 'mp4 mkv ts'),
    'h264_baseline': (X264, 'g=12 profile=baseline', '', 'mp4 mkv flv'),
    'h264_weights': (X264, 'g=20 bf=4 refs=4', 'weightp=2:weightb=1', 'mp4'),
    'h264_lossless': (X264, 'g=12 bf=2 qp=0', '', 'mp4 mkv'),
    'h264_10bit': (X264, 'g=12 bf=3 pix_fmt=yuv420p10le', '', 'mp4 mkv'),
    'h264_444': (X264, 'g=12 bf=3 pix_fmt=yuv444p', '', 'mp4 mkv'),
    'hevc_closed': (X265, 'g=12', 'bframes=3:open-gop=0', H265),
    'hevc_open': (X265, 'g=12', 'bframes=4:b-adapt=0:open-gop=1', H265),
    'hevc_pyramid': (
        X265,
        'g=20',
        'bframes=8:b-pyramid=1:rc-lookahead=20',
        H265,
    ),
    'hevc_plain': (X265, 'g=12', 'bframes=0', 'mp4 mkv ts'),
    'hevc_long': (X265, 'g=250', 'bframes=3', 'mp4 mkv'),
    'hevc_refresh': (X265, 'g=20', 'intra-refresh=1:bframes=0', 'mp4 mkv'),
    'hevc_slices': (X265, 'g=12', 'slices=2', 'mp4 mkv'),
    'hevc_10bit': (X265, 'g=12 pix_fmt=yuv420p10le', 'bframes=3', 'mp4'),
    'mpeg4_plain': (MPEG4, 'g=12 bf=0', '', AVI),
    'mpeg4_b': (MPEG4, 'g=12 bf=2', '', AVI),
    'mpeg4_closed': (
        MPEG4,
        'g=12 bf=2 flags=+cgop sc_threshold=1000000000',
        '',
        AVI,
    ),
    'mpeg4_long': (MPEG4, 'g=250 bf=1', '', 'avi mp4 mkv'),
    'mpeg4_fields': (MPEG4, 'g=12 bf=2 flags=+ilme+ildct', '', AVI),
    'mpeg4_fields_p': (MPEG4, 'g=12 bf=0 flags=+ilme+ildct', '', AVI),
    'mpeg4_quarter': (MPEG4, 'g=12 bf=2 flags=+qpel+mv4', '', 'avi mp4 mkv'),
    'mpeg4_slices': (MPEG4, 'g=12 bf=2 ps=120', '', 'avi mp4'),
    'mpeg4_parts': (MPEG4, 'g=12 data_partitioning=1 ps=200', '', 'avi mp4'),
    'mpeg4_matrix': (MPEG4, 'g=12 bf=2 mpeg_quant=1', '', 'avi mp4'),
    'mpeg4_intra': (MPEG4, 'g=1', '', 'avi mp4'),
    'mjpeg': (MJPEG, 'pix_fmt=yuvj420p', '', 'avi mov mkv mp4 later.mkv'),
    'mjpeg_422': (MJPEG, 'pix_fmt=yuvj422p', '', 'avi mov'),
    'mjpeg_tables': (MJPEG, 'pix_fmt=yuvj420p huffman=default', '', 'avi mov'),
    'vp9': (VP9, 'g=12', '', WEBM),
    'vp9_hidden': (VP9, 'g=20 auto-alt-ref=1 lag-in-frames=16', '', WEBM),
    'vp9_resilient': (VP9, 'g=20 error-resilient=1', '', 'mkv webm'),
    'av1': (AV1, 'g=20', 'hierarchical-levels=4', 'mkv mp4 webm'),
    'av1_low_delay': (AV1, 'g=20', 'pred-struct=1:rc=2', 'mkv mp4'),
    'mpeg2': (('mpeg2video', '', ''), 'g=12 bf=2', '', 'mkv ts avi'),
}
# A stream copy that begins between key pictures: frames are lost.
LOSSES = 'cut.'
NO_FRAMES = r'^no frame can be decoded$|after 0 of \d+ frames$'


def picture(number: int) -> np.ndarray:
    """Noise that moves over another picture, 96 x 64."""
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 256, (5, 7, 3), np.uint8), (96, 64))
    patch = rng.integers(0, 256, (24, 24, 3), np.uint8)
    top, left = number % 40, 2 * number % 72
    image[top : top + 24, left : left + 24] = patch
    image[:8] = 6 * number  # also a fade
    return image


def options_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\S+?)=(\S+)', text))


@contextmanager
def own_scheduling():
    """Restore this thread's scheduling, which SVT-AV1 makes real-time.

    It does so as root, and the thread would then starve every other process
    of its core until the tests end.
    """
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)


@own_scheduling()
def encode(path: Path, encoder, options: str, own: str) -> Path:
    codec, defaults, own_defaults = encoder
    settings = options_of(f'{defaults} {options}')
    pixels = settings.pop('pix_fmt', 'yuv420p')
    own = ':'.join(filter(None, [own_defaults, own]))
    if own:
        library = codec.removeprefix('lib')
        settings[f'{library}-params'] = own
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options=settings)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        stream.bit_rate = 3_000_000
        stream.codec_context.thread_count = 1
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(number), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path) -> Path:
    """Copy the packets; the first part of the target's suffix tells how."""
    kind = target.suffixes[-2] if len(target.suffixes) > 1 else ''
    options = {}
    if kind == '.fragments':
        options['movflags'] = 'frag_keyframe+empty_moov+default_base_moof'
    if kind == '.hidden':
        options['avoid_negative_ts'] = 'disabled'
    with (
        av.open(str(source)) as original,
        av.open(str(target), 'w', options=options) as container,
    ):
        stream = original.streams.video[0]
        copy = container.add_stream_from_template(stream)
        packets = [p for p in original.demux(stream) if p.size]
        step = round(1 / (25 * stream.time_base))
        shift = {'.hidden': -5 * step, '.later': 250 * step}.get(kind, 0)
        for number, packet in enumerate(packets):
            if kind == '.cut' and number < 4:
                continue
            if packet.dts is None:
                packet.dts = (number - 2) * step
            if packet.pts is None:
                packet.pts = number * step
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = copy
            container.mux(packet)
    return target


def in_turn(path: Path) -> list[np.ndarray]:
    """All frames, by PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.best('video')
        stream.codec_context.thread_count = 1
        size = stream.width, stream.height
        reformatter = VideoReformatter()
        return [
            reformatter.reformat(frame, *size, 'rgb24').to_ndarray()
            for frame in container.decode(stream)
        ]


@pytest.fixture(scope='module')
def totals():
    """Sums over all cases; pytest -s prints them."""
    sums = Counter()
    yield sums
    print('\n' + ', '.join(f'{name}: {n}' for name, n in sums.items()))


@pytest.mark.parametrize('name', CASES)
def test_random_frames_are_those_of_decoding_in_turn(
    tmp_path, name, totals, monkeypatch
):
    encoder, options, own, containers = CASES[name]
    if encoder[0] not in av.codecs_available:
        pytest.skip(f'{encoder[0]}: not in this build of FFmpeg')
    source = encode(tmp_path / 'source.mkv', encoder, options, own)
    rng = np.random.default_rng(0)
    reads = mismatches = clips = 0
    for suffix in containers.split():
        path = tmp_path / f'clip.{suffix}'
        # TS repeats the headers; PyAV does not copy AV1.
        if (suffix == 'ts' and encoder is MPEG4) or encoder is AV1:
            encode(path, encoder, options, own)
        else:
            remux(source, path)
        try:
            expected = in_turn(path)
        except av.FFmpegError:
            assert suffix.startswith(LOSSES), suffix
            expected = []
        if suffix.startswith(LOSSES) and not expected:
            with (
                VideoReader(path) as reader,
                pytest.raises(BrokenClipError, match=NO_FRAMES),
            ):
                reader.read([0])
            continue
        with VideoReader(path) as again:
            count = again.num_frames
            if not suffix.startswith(LOSSES):
                assert len(expected) == count, suffix
            for size in SETS:
                wanted = rng.integers(0, count, size).tolist()
                with VideoReader(path) as reader:
                    found = [reader.read(wanted), again.read(wanted)]
                with monkeypatch.context() as patch:
                    patch.setattr(video_reader, 'KEPT_BYTES', 0)
                    with VideoReader(path) as reader:
                        found.append(reader.read(wanted))
                for frames in found:
                    reads += 1
                    mismatches += sum(
                        not np.array_equal(
                            frame, expected[number * len(expected) // count]
                        )
                        for number, frame in zip(wanted, frames, strict=True)
                    )
            frames = [again.to_rgb(frame) for frame in again.frames()]
        assert np.array_equal(frames, expected), suffix
        assert not mismatches, (suffix, mismatches)
        clips += 1
    totals.update(clips=clips, reads=reads, mismatches=mismatches)
