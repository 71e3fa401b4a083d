"""Frames of unusual files are read; unreadable files give a reason."""

import os
import sys
from pathlib import Path

import av
import decord
import numpy as np
import pytest
from hostile_clips import (
    grey_of,
    packets,
    turn,
    write_broken,
    write_large_file,
    write_readable,
    write_video,
)

from dvfl_mmaction.datasets import video_reader
from dvfl_mmaction.datasets.video_reader import BrokenClipError, VideoReader


def read(path, indices):
    with VideoReader(path) as reader:
        return reader.read(indices)


def numbers(frames) -> list[int]:
    """The numbers of frames, read off their right edge."""
    greys = np.array([f[:, -4:].mean() for f in frames])
    assert np.all(np.ptp([f[:, -4:] for f in frames], axis=(1, 2, 3)) < 8)
    return np.rint((greys - grey_of(0)) / 5).astype(int).tolist()


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('plain.mp4', {}),
        ('long_gop.mp4', dict(options={'g': '250', 'bf': '3'})),
        ('mpeg4.avi', dict(codec='mpeg4')),
        ('b_frames.avi', dict(codec='mpeg4', options={'bf': '2'})),
        ('vp9.webm', dict(codec='libvpx-vp9')),
        ('motion_jpeg.avi', dict(codec='mjpeg', pixels='yuvj420p')),
    ],
)
def test_frames_have_the_wanted_numbers_and_match_decord(
    tmp_path, name, options
):
    path = write_video(tmp_path / name, 30, **options)
    wanted = [29, 0, 7, 7, 18]
    frames = read(path, wanted)
    assert numbers(frames) == wanted
    # All of them: decord's jumps miss by frames where B-frames are in AVI.
    others = decord.VideoReader(str(path)).get_batch(range(30)).asnumpy()
    assert np.array_equal(frames, others[wanted])


def test_unusual_files_are_read(tmp_path):
    names = write_readable(tmp_path)
    sizes = {'odd_444.mp4': (129, 171), 'tiny.mp4': (16, 16)}
    sizes['turned.mp4'] = (64, 48)  # of (48, 64)
    counts = {'one_frame.mp4': 1, 'two_frames.avi': 2, 'seven_frames.mkv': 7}
    counts |= {'whole.avi': 30, 'truncated.avi': None}
    for name in names:
        with VideoReader(tmp_path / name) as reader:
            count = counts.get(name, 16)
            if count is None:
                assert 19 <= reader.num_frames <= 20
                assert reader.announced_frames == 30
                count = reader.num_frames
            assert reader.num_frames == count, name
            frames = reader.read(range(count))
        assert {f.shape for f in frames} == {(*sizes.get(name, (48, 64)), 3)}
        assert all(f.dtype == np.uint8 for f in frames)
        if name not in ('turned.mp4', 'grey.mp4'):
            assert numbers(frames) == list(range(len(frames))), name


def test_a_rotation_in_the_metadata_is_applied(tmp_path):
    path = write_video(tmp_path / 'turned.mp4', 3, size=(128, 64))
    (upright,) = read(path, [1])
    (turned,) = read(turn(path), [1])
    # The black edge was on the left; a quarter turn clockwise brings it up.
    assert np.array_equal(turned, np.rot90(upright, -1))
    assert turned[:24].max() < 20 < turned[-24:].min()
    other = decord.VideoReader(str(path)).get_batch([1]).asnumpy()[0]
    assert np.array_equal(turned, other)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('empty.mp4', 'the file is empty'),
        ('text.mp4', 'not a video: Invalid data'),
        ('sound_only.mp4', 'has no video stream'),
        ('overwritten.mp4', r'after \d+ of 30 frames'),
        ('absent.mp4', 'file not found'),
        ('.', 'not a regular file'),
    ],
)
def test_an_unreadable_file_gives_the_reason(tmp_path, name, reason):
    write_broken(tmp_path)
    with pytest.raises(BrokenClipError, match=reason) as caught:
        read(tmp_path / name, [29])
    assert '\n' not in str(caught.value)


def test_a_read_before_the_fault_succeeds(tmp_path):
    path = write_video(tmp_path / 'clip.avi', 30, codec='mpeg4')
    start = packets(path)[20].pos + 8
    end = start + packets(path)[20].size
    content = bytearray(path.read_bytes())
    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    assert numbers(read(path, [0, 19])) == [0, 19]
    with pytest.raises(BrokenClipError, match='after 20 of'):
        read(path, [0, 29])


def test_fewer_frames_than_packets_scale_the_numbers(tmp_path):
    path = write_video(tmp_path / 'clip.mp4', 20)
    with VideoReader(path) as reader:
        # As in files of which two packets make a frame.
        reader.num_frames = 40
        assert numbers(reader.read([0, 20, 38, 39])) == [0, 10, 19, 19]


def test_a_change_of_size_keeps_the_first_size(tmp_path):
    parts = [
        write_video(tmp_path / f'{size[0]}.ts', 4, size=size)
        for size in ((64, 48), (96, 80))
    ]
    path = tmp_path / 'both.ts'
    path.write_bytes(b''.join(p.read_bytes() for p in parts))
    with av.open(str(path)) as container:
        assert len({f.width for f in container.decode(video=0)}) == 2
    frames = read(path, [0, 7])
    assert {f.shape for f in frames} == {(48, 64, 3)}


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE')


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_repeated_reading_does_not_leak_memory(tmp_path):
    write_broken(tmp_path)
    whole = write_video(tmp_path / 'whole.mp4', 30, size=(320, 240))

    def read_all():
        read(whole, [0, 29])
        for name in ('overwritten.mp4', 'text.mp4', 'sound_only.mp4'):
            with pytest.raises(BrokenClipError):
                read(tmp_path / name, [29])

    for _ in range(30):
        read_all()
    before = resident()
    for _ in range(150):
        read_all()
    # A clip's two frames are 460 kB: of 150, one in ten would be 7 MB.
    assert resident() - before < 4_000_000


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('name', ['large.avi', 'large.mkv'])
def test_a_large_file_is_not_held_in_memory(tmp_path, monkeypatch, name):
    path = write_large_file(tmp_path / name, 60_000_000)
    monkeypatch.setattr(video_reader, 'KEPT_BYTES', 1_000_000)
    before = resident()
    with VideoReader(path) as reader:
        count = reader.num_frames
        frames = reader.read([count - 2, 0, 201, 7])
        assert resident() - before < 20_000_000
    assert path.stat().st_size > 60_000_000
    assert count == 301 and numbers(frames) == [1, 0, 1, 1]
