"""The right stream is opened, and no other file; reading takes not long."""

import os
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from hostile_clips import (
    write_cover_first,
    write_lists_of_files,
    write_two_streams,
    write_video,
)

from dvfl_mmaction.datasets import ClipDecode, ClipInit, video_file
from dvfl_mmaction.datasets.video_file import (
    CONTAINER_OPTIONS,
    TimeLimit,
    rate_of_copy,
)
from dvfl_mmaction.datasets.video_reader import BrokenClipError, VideoReader
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.preparation.clips.check import decode_clip


def test_a_cover_picture_is_not_read(tmp_path):
    path = write_cover_first(tmp_path / 'cover.mp4')
    with av.open(str(path)) as container:
        first = container.streams.video[0]
        assert first.disposition & av.stream.Disposition.attached_pic
        assert first.codec_context.name == 'mjpeg'
    with VideoReader(path) as reader:
        assert (reader.num_frames, reader.stream_index) == (12, 1)
        assert (reader.codec, reader.width, reader.height) == ('h264', 64, 48)
        assert reader.read([11])[0].shape == (48, 64, 3)
    facts = decode_clip(tmp_path, 'cover.mp4')
    assert facts.verdict() == ('ok', '')
    assert (facts.stream, facts.frames, facts.codec) == (1, 12, 'h264')


def test_a_cover_alone_is_no_video(tmp_path):
    path = write_cover_first(tmp_path / 'cover.mp4', with_video=False)
    with pytest.raises(BrokenClipError, match='no video stream'):
        VideoReader(path)


@pytest.mark.parametrize('default', [0, 1])
def test_the_default_stream_is_read(tmp_path, default):
    path = write_two_streams(tmp_path / 'two.mkv', default)
    with av.open(str(path)) as container:
        assert container.streams.best('video').index == default
    with VideoReader(path) as reader:
        assert reader.stream_index == default
        assert reader.width == (64, 96)[default]
        assert reader.read([3])[0].shape[1] == reader.width
    assert decode_clip(tmp_path, 'two.mkv').stream == default


@pytest.mark.parametrize(
    'name', ['concat.mp4', 'hls.mp4', 'dash.mp4', 'sdp.mp4', '%d.jpg']
)
def test_a_list_of_files_is_no_video(tmp_path, name):
    write_lists_of_files(tmp_path)
    # Nobody writes to it: whoever opens it waits.
    assert (tmp_path / 'pipe').is_fifo()
    began = time.monotonic()
    with pytest.raises(BrokenClipError, match='^not a video: ') as caught:
        VideoReader(tmp_path / name)
    assert '\n' not in str(caught.value)
    assert time.monotonic() - began < 5
    error = decode_clip(tmp_path, name).error
    assert error.startswith('not a video: ')


def test_the_list_would_be_read_without_the_refusal(tmp_path):
    write_lists_of_files(tmp_path)
    # The same lists, that name a video.
    with av.open(str(tmp_path / 'names_a_video.mp4')) as container:
        assert container.format.name == 'concat'
        assert len(list(container.decode(video=0))) == 12
    with pytest.raises(BrokenClipError, match='not a video'):
        VideoReader(tmp_path / 'names_a_video.mp4')


def test_refused_formats_are_not_in_the_whitelist():
    allowed = CONTAINER_OPTIONS['format_whitelist'].split(',')
    assert not video_file.REFUSED_FORMATS & set(allowed)
    assert {'mp4', 'matroska', 'avi', 'mpegts', 'flv', 'h264'} <= set(allowed)


def test_a_protocol_in_a_file_name_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir('http:')
    write_video(tmp_path / 'http:' / 'a.mp4', 3)
    with VideoReader('http:/a.mp4') as reader:
        assert reader.num_frames == 3


@pytest.mark.parametrize('kind', ['pipe', 'folder'])
def test_what_is_no_file_is_named_so(tmp_path, kind):
    path = tmp_path / 'clip.mp4'
    (os.mkfifo if kind == 'pipe' else os.mkdir)(path)
    with pytest.raises(BrokenClipError, match='not a regular file'):
        VideoReader(path)


class Clock:
    """Seconds that pass with each look at the clock."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def monotonic(self):
        self.now += self.step
        return self.now


@pytest.fixture(params=['clip.mp4', 'clip.webm', 'clip.avi'])
def clip(request, tmp_path):
    codecs = {'.mp4': 'libx264', '.webm': 'libvpx-vp9', '.avi': 'mjpeg'}
    path = tmp_path / request.param
    pixels = 'yuvj420p' if path.suffix == '.avi' else 'yuv420p'
    return write_video(path, 30, codec=codecs[path.suffix], pixels=pixels)


def test_reading_ends_after_the_limit(clip, monkeypatch):
    reason = 'reading takes longer than 60 s'
    with VideoReader(clip) as reader:
        monkeypatch.setattr(video_file, 'time', Clock(20))
        with pytest.raises(BrokenClipError, match=reason):
            reader.read(range(30))
        with pytest.raises(BrokenClipError, match=reason):
            list(reader.frames())
    with pytest.raises(BrokenClipError, match=reason):
        monkeypatch.setattr(video_file, 'time', Clock(70))
        VideoReader(clip)


def test_without_a_limit_nothing_ends(clip, monkeypatch):
    monkeypatch.setattr(video_file, 'time', Clock(1000))
    with VideoReader(clip, timeout_s=None) as reader:
        assert len(reader.read([0, 29])) == 2


@pytest.mark.parametrize('limit', [0, -1, float('nan'), '60'])
def test_a_limit_that_is_no_time_is_reported(limit):
    with pytest.raises(UserError, match=f'timeout_s is {limit!r}; give'):
        ClipInit(timeout_s=limit)


def test_the_step_and_the_check_have_the_limit(clip, monkeypatch):
    with pytest.raises(BrokenClipError, match='longer than 1e-09 s'):
        ClipInit(timeout_s=1e-9).transform(dict(filename=str(clip)))
    results = dict(filename=str(clip), frame_inds=np.arange(4))
    results = ClipDecode().transform(ClipInit().transform(results))
    assert len(results['imgs']) == 4
    assert repr(ClipInit(timeout_s=5)) == 'ClipInit(timeout_s=5)'
    monkeypatch.setattr(video_file, 'time', Clock(70))
    facts = decode_clip(clip.parent, clip.name)
    assert facts.error == 'reading takes longer than 60 s'


def test_the_time_between_frames_does_not_count(clip):
    with VideoReader(clip, timeout_s=0.5) as reader:
        count = 0
        for count, _ in enumerate(reader.frames(), 1):
            if count in (5, 6):
                time.sleep(0.3)
        assert count == 30


@pytest.mark.parametrize('seconds', [0, -1, float('nan')])
def test_a_limit_is_a_number_above_0(seconds):
    with pytest.raises(ValueError, match='above 0, or None'):
        TimeLimit(seconds)


@pytest.mark.parametrize(
    ('avg_fps', 'rate'),
    [
        (0, Fraction(25)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.3, Fraction(3, 10)),
        (1 / 4375, Fraction(1, 4375)),
    ],
)
def test_the_rate_of_a_copy_is_that_of_the_file(avg_fps, rate):
    assert rate_of_copy(avg_fps) == rate
