"""Packets that cannot be decoded, times, and what may be opened."""

from fractions import Fraction
from types import SimpleNamespace

import av
import pytest

from dvfl_mmaction.deployment.live import opened_source
from dvfl_mmaction.deployment.live.frames import SourceError
from dvfl_mmaction.deployment.live.opened_source import (
    MOST_FAULTS,
    decoded_frames,
    of_container,
    open_address,
)


def packet(*frames):
    """A packet of frames; without one it is damaged."""

    def decode():
        if not frames:
            raise av.error.InvalidDataError(1, 'damaged')
        return frames

    return SimpleNamespace(decode=decode)


def container_of(*packets, **attributes):
    return SimpleNamespace(
        demux=lambda stream: iter(packets),
        seek=lambda place, stream: None,
        close=None,
        **attributes,
    )


def test_damaged_packets_cost_their_pictures_until_they_are_too_many():
    damaged = [packet()] * MOST_FAULTS
    container = container_of(*damaged, packet('a'), *damaged, packet('b', 'c'))
    assert list(decoded_frames(container, None)) == ['a', 'b', 'c']
    frames = decoded_frames(container_of(packet('a'), *damaged, packet()), 0)
    assert next(frames) == 'a'
    with pytest.raises(av.error.InvalidDataError):
        next(frames)


def frame(time, is_corrupt=False):
    return SimpleNamespace(time=time, is_corrupt=is_corrupt)


@pytest.fixture
def open_frames(monkeypatch):
    """Opens frames whose pictures are their times."""
    monkeypatch.setattr(opened_source, 'rgb_picture', lambda frame: frame.time)

    def open_frames(*frames, duration=None, **options):
        stream = SimpleNamespace(
            average_rate=Fraction(10),
            start_time=2000,
            time_base=Fraction(1, 1000),
            frames=0,
        )
        container = container_of(packet(*frames), duration=duration)
        return of_container(container, stream, **options)

    return open_frames


def test_the_times_of_a_recording_begin_at_0_and_never_go_back(open_frames):
    frames = [frame(t) for t in (2.0, 2.2, 2.1, None, 3.0)]
    opened = open_frames(*frames, duration=1_500_000, is_live=False)
    times = [time_s for time_s, _ in opened.pictures]
    # The fourth frame has no time: that of the fourth of 10 per second.
    assert times == pytest.approx([0, 0.2, 0.2, 0.3, 1.0])
    assert opened.num_frames == 15 and opened.frame_s == 0.1
    assert open_frames(is_live=False).num_frames is None


def test_frames_up_to_the_place_that_is_sought_are_left_out(open_frames):
    opened = open_frames(*[frame(2 + i / 8) for i in range(5)], is_live=False)
    opened.seek(0.25)
    assert [time_s for time_s, _ in opened.pictures] == [0.375, 0.5]


def test_broken_pictures_are_left_out_of_a_recording_only(open_frames):
    frames = [frame(2.0), frame(2.1, True), frame(2.2)]
    for options, count in (
        (dict(is_live=False, skip_broken=True), 2),
        (dict(is_live=False), 3),
    ):
        assert len(list(open_frames(*frames, **options).pictures)) == count
    live = open_frames(*frames, is_live=True, skip_broken=True)
    pictures = [next(live.pictures) for _ in frames]
    assert pictures == [(None, 2.0), (None, 2.1), (None, 2.2)]
    with pytest.raises(SourceError, match='the stream ended'):
        next(live.pictures)


@pytest.mark.parametrize(
    'address, transport',
    [('rtsp://camera/a', 'tcp'), ('http://server/a.mp4', None)],
)
def test_an_address_opens_no_local_file(monkeypatch, address, transport):
    opened = []

    def refuse(name, **options):
        opened.append((name, options))
        raise ValueError('refused')

    monkeypatch.setattr(opened_source.av, 'open', refuse)
    with pytest.raises(SourceError, match='refused'):
        open_address(address, 3.0)
    ((name, options),) = opened
    protocols = options['container_options']
    assert name == address and options['timeout'] == 3.0
    assert 'file' not in protocols['protocol_whitelist'].split(',')
    assert protocols.get('rtsp_transport') == transport


@pytest.mark.parametrize('duration, is_live', [(None, True), (10**6, False)])
def test_an_address_without_a_duration_is_live(monkeypatch, duration, is_live):
    stream = SimpleNamespace(
        codec_context=True,
        average_rate=None,
        start_time=None,
        time_base=Fraction(1, 1000),
        frames=0,
    )
    container = container_of(duration=duration)
    monkeypatch.setattr(opened_source.av, 'open', lambda *_, **__: container)
    monkeypatch.setattr(opened_source, 'best_video', lambda _: stream)
    assert open_address('http://server/a', 3.0).is_live == is_live
