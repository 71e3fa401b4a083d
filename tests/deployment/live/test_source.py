"""Sources that end, are lost and come back, or never open."""

import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from small_recipe import write_clip

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.live.frames import SourceError
from dvfl_mmaction.deployment.live.opened_source import (
    OpenedSource,
    of_container,
    opener_of,
)
from dvfl_mmaction.deployment.live.source import Source

IMAGE = np.zeros((4, 6, 3), np.uint8)
LOST = SourceError('no picture')


class FakeCamera:
    """Opens a source whose pictures are planned.

    Args:
        plans: Per attempt the number of pictures before the loss; 0 if it
            cannot be opened.
        is_live: As of :class:`OpenedSource`.
    """

    def __init__(self, *plans, is_live=True):
        self.plans, self.is_live = list(plans), is_live
        self.closed, self.sought = 0, []

    def __call__(self):
        count = self.plans.pop(0)
        if not count:
            raise LOST

        def pictures():
            for number in range(count):
                yield None if self.is_live else number / 25, IMAGE
            if self.plans:
                raise LOST

        return OpenedSource(
            pictures(), self.close, self.is_live, None, self.sought.append
        )

    def close(self):
        self.closed += 1


def source_of(camera, **kwargs):
    """A source whose waits and messages are noted."""
    waits, lines = [], []
    source = Source(
        'cam', camera, log=lines.append, wait=waits.append, **kwargs
    )
    return source, waits, lines


def test_a_lost_source_is_opened_again_with_growing_waits():
    camera = FakeCamera(3, 0, 0, 2, 1)
    source, waits, lines = source_of(camera)
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(6))
    first = [frame.index for frame in frames if frame.is_first]
    assert first == [0, 3, 5]
    # Frames that come reset the number of attempts.
    assert waits == [0.5, 1.0, 2.0, 0.5]
    assert lines[1] == 'cam: no picture; attempt 2 of 10 in 1 s'
    assert camera.closed == 3


def test_waits_are_bounded_and_retries_end():
    source, waits, _ = source_of(FakeCamera(1, *[0] * 20), retries=9)
    taken = []
    with pytest.raises(UserError) as error:
        taken.extend(source.frames())
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert str(error.value) == (
        'cam is lost: no picture; gave up after 9 attempts to open it again '
        '(--retries)'
    )


def test_a_recording_continues_after_its_last_frame():
    camera = FakeCamera(3, 2, is_live=False)
    source, _, _ = source_of(camera)
    assert len(list(source.frames())) == 5
    assert camera.sought == [2 / 25]


def test_a_file_is_not_read_again_where_it_is_damaged(tmp_path):
    path = tmp_path / 'a.mp4'
    write_clip(path, 0, frames=300)
    with av.open(str(path)) as container:
        packets = [p.pos for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    end = content.rfind(b'moov') - 4
    for start, after in zip(packets, [*packets[1:], end], strict=True):
        if start >= packets[100]:
            content[start:after] = bytes(after - start)
    path.write_bytes(content)
    source, waits, lines = source_of(opener_of(str(path)))
    taken = []
    with pytest.raises(UserError, match='cannot be read after 4.0 s: Inv'):
        taken.extend(source.frames())
    assert len(taken) == 100 and waits == lines == []


class Unseekable(list):
    """Stands for the places that a source was asked for."""

    def append(self, place):
        raise LOST


def test_a_recording_that_cannot_be_continued_is_closed_and_lost():
    camera = FakeCamera(3, 2, 1, is_live=False)
    camera.sought = Unseekable()
    source, waits, _ = source_of(camera, retries=2)
    with pytest.raises(UserError, match='cam is lost: no picture; gave up'):
        list(source.frames())
    assert waits == [0.5, 1.0] and camera.closed == 3


def test_a_place_that_cannot_be_reached_is_a_lost_source():
    def seek(place, stream):
        assert place == 2400
        raise av.error.OSError(5, 'Input/output error')

    container = SimpleNamespace(seek=seek, duration=None, close=None)
    stream = SimpleNamespace(
        average_rate=None,
        start_time=400,
        time_base=Fraction(1, 1000),
        frames=0,
    )
    opened = of_container(container, stream, is_live=False)
    with pytest.raises(SourceError, match='no way to 2.0 s: Input/output err'):
        opened.seek(2.0)


def test_stop_ends_the_reading_and_the_waiting():
    stop = threading.Event()
    source, waits, _ = source_of(FakeCamera(5, 5), stop=stop)
    for frame in source.frames():
        if frame.index == 2:
            stop.set()
    assert (frame.index, waits) == (2, [])


def test_a_live_source_is_closed_after_the_check():
    camera = FakeCamera(1, 3)
    source, _, _ = source_of(camera)
    source.check()
    assert camera.closed == 1 and len(list(source.frames())) == 3


def test_the_times_of_a_live_source_are_those_of_the_clock():
    clock = iter([50.0, 50.5, 53.0]).__next__
    source, _, _ = source_of(FakeCamera(3), clock=clock)
    frames = list(source.frames())
    assert [frame.time_s for frame in frames] == [0, 0.5, 3.0]
    assert [frame.due_s for frame in frames] == [50.0, 50.5, 53.0]


def test_the_header_of_a_file_says_how_long_a_frame_lasts(tmp_path):
    write_clip(tmp_path / 'a.mp4', 0, frames=1)
    source, _, _ = source_of(opener_of(str(tmp_path / 'a.mp4')))
    assert len(list(source.frames())) == 1
    assert source.frame_s == 1 / 25


def test_a_file_has_its_time_stamps_and_ends(tmp_path):
    write_clip(tmp_path / 'a.mp4', 0, frames=10)
    source, _, _ = source_of(opener_of(str(tmp_path / 'a.mp4')))
    frames = list(source.frames())
    assert source.num_frames == 10 and not source.is_live
    times = [frame.time_s for frame in frames]
    assert times == pytest.approx([i / 25 for i in range(10)])
    assert frames[0].image.shape == (48, 64, 3)
    camera = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    _, image = camera.read()
    camera.release()
    # RGB, and the conversions of two libraries.
    difference = frames[0].image - image[..., ::-1].astype(int)
    assert np.abs(difference).max() < 8


@pytest.mark.parametrize(
    'name, content, reason',
    [
        ('absent.mp4', None, 'file not found'),
        ('text.mp4', b'hello, this is no video\n' * 20, 'not a video: '),
        ('empty.mp4', b'', 'the file is empty'),
    ],
)
def test_what_never_opens_is_one_line(tmp_path, name, content, reason):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    source, waits, _ = source_of(opener_of(str(path)))
    with pytest.raises(UserError) as error:
        list(source.frames())
    line = str(error.value)
    assert line.startswith(f'{source.name} cannot be opened: {reason}')
    assert '\n' not in line and waits == []


def test_a_camera_that_is_not_there_and_a_closed_port_are_one_line():
    for name, reason in (
        ('93', 'camera 93 cannot be opened'),
        ('rtsp://127.0.0.1:9/a', 'Connection refused'),
    ):
        source, _, _ = source_of(opener_of(name))
        with pytest.raises(UserError, match=reason):
            source.open()


def serve(server, path: Path):
    """The address of a file on a server that supports ranges."""
    server.files['/a.mp4'] = path.read_bytes()
    server.headers['Accept-Ranges'] = 'bytes'
    return server.url('/a.mp4')


@pytest.fixture
def long_clip(tmp_path):
    """A clip of 60 frames with an index at its beginning.

    They are noise, so that FFmpeg does not read the whole file at once.
    """
    rng = np.random.default_rng(0)
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(tmp_path / 'long.mp4'), codec, 25, (160, 120))
    for _ in range(60):
        writer.write(rng.integers(0, 256, (120, 160, 3), np.uint8))
    writer.release()
    path = tmp_path / 'indexed.mp4'
    with (
        av.open(str(tmp_path / 'long.mp4')) as old,
        av.open(str(path), 'w', options=dict(movflags='faststart')) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return path


def test_a_recording_on_a_server_is_read_to_its_end(server, long_clip):
    source, waits, _ = source_of(opener_of(serve(server, long_clip)))
    frames = list(source.frames())
    assert len(frames) == 60 and not source.is_live and waits == []


def test_a_cut_connection_continues_after_the_last_frame(server, long_clip):
    address = serve(server, long_clip)
    server.cut_at = long_clip.stat().st_size // 2

    def wait(seconds):
        server.cut_at = None

    lines = []
    source = Source('s', opener_of(address), log=lines.append, wait=wait)
    frames = list(source.frames())
    assert len(lines) == 1 and 'attempt 1 of 10 in 0.5 s' in lines[0]
    _, again = [frame.index for frame in frames if frame.is_first]
    assert 10 < again < 50
    times = [frame.time_s for frame in frames]
    assert times == pytest.approx([i / 25 for i in range(60)])
    # The pictures are those of the whole file.
    whole = Source('w', opener_of(str(long_clip))).frames()
    for frame, wanted in zip(frames, whole, strict=True):
        assert np.array_equal(frame.image, wanted.image)
