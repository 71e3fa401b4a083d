"""Only the needed pictures are decoded, and they are enough."""

import itertools

import av
import cv2
import numpy as np
import pytest
from hostile_clips import packets, write_video

from dvfl_mmaction.datasets.packet_index import (
    VOP,
    Picture,
    are_packed,
    mpeg4_kind,
    note_packet,
    order_pictures,
    runs_for,
)
from dvfl_mmaction.datasets.video_reader import BrokenClipError, VideoReader

X264 = dict(bf='3', **{'x264-params': 'b-adapt=0:scenecut=0:bframes=3'})
CASES = {
    'b_frames.mp4': dict(options=dict(g='250', **X264)),
    'short_gops.mkv': dict(options=dict(g='10', **X264)),
    'no_b_frames.mp4': dict(options=dict(g='12', bf='0')),
    'mpeg4.avi': dict(codec='mpeg4', options=dict(g='12')),
    'mpeg4_b_frames.avi': dict(codec='mpeg4', options=dict(bf='2', g='12')),
    'mpeg4_b_frames.mp4': dict(codec='mpeg4', options=dict(bf='2', g='12')),
    'motion_jpeg.avi': dict(codec='mjpeg', pixels='yuvj420p'),
    'motion_jpeg.mov': dict(codec='mjpeg', pixels='yuvj420p'),
}


def write_moving(
    path, frames, codec='libx264', pixels='yuv420p', options=None
):
    """A patch of noise that moves over a smooth picture, 64 x 48."""
    rng = np.random.default_rng(1)
    back = cv2.resize(rng.integers(0, 256, (4, 5, 3), np.uint8), (64, 48))
    patch = rng.integers(0, 256, (16, 16, 3), np.uint8)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.bit_rate = 4_000_000  # no picture is next to nothing
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for number in range(frames):
            image = back.copy()
            image[number // 2 : number // 2 + 16, number : number + 16] = patch
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class CountingReader(VideoReader):
    """Counts what goes into the decoder."""

    def _decode_run(self, run):
        self.fed = getattr(self, 'fed', 0) + len(run)
        return super()._decode_run(run)


class InTurn(VideoReader):
    """Decodes every picture up to the last one wanted."""

    def _decode_needed(self, wanted):
        return None


def in_turn(path, indices):
    with InTurn(path) as reader:
        return reader.read(indices)


def notes(container, stream):
    return [note_packet(stream, p) for p in container.demux(stream) if p.size]


@pytest.fixture(scope='module', params=CASES)
def clip(request, tmp_path_factory):
    """A file of 40 frames whose content moves."""
    path = tmp_path_factory.mktemp('clips') / request.param
    return write_moving(path, 40, **CASES[request.param])


def pack_as_xvid_does(path, target):
    """The B-picture after a reference into its packet, an empty one behind.

    Pictures I P B B P B B … become I [P B] [B] [empty] [P B] …
    """
    source = av.open(str(path))
    stream = source.streams.video[0]
    whole = [bytes(p) for p in source.demux(stream) if p.size]
    # The empty picture: not coded; its time is ignored.
    empty = b'\0\0\1\xb6' + bytes([0x40, 0, 0])
    joined, at = [], 0
    while at < len(whole):
        following = [mpeg4_kind(data) for data in whole[at + 1 : at + 3]]
        if following == [2, 2]:
            joined += [whole[at] + whole[at + 1], whole[at + 2], empty]
            at += 3
        elif following[:1] == [2]:
            joined += [whole[at] + whole[at + 1], empty]
            at += 2
        else:
            joined.append(whole[at])
            at += 1
    with av.open(str(target), 'w') as container:
        copy = container.add_stream_from_template(stream)
        for number, data in enumerate(joined):
            packet = av.Packet(data)
            packet.stream, packet.time_base = copy, stream.time_base
            packet.pts = packet.dts = number
            packet.is_keyframe = not number
            container.mux(packet)
    source.close()
    return target


def test_the_pixels_are_those_of_decoding_in_turn(clip):
    everything = in_turn(clip, range(40))
    rng = np.random.default_rng(0)
    for size in (1, 2, 8, 8, 8, 39):
        wanted = rng.permutation(40)[:size]
        with CountingReader(clip) as reader:
            frames = reader.read(wanted)
            assert reader.fed <= 40
        for number, frame in zip(wanted, frames, strict=True):
            assert np.array_equal(frame, everything[number]), number


def test_each_frame_alone_takes_few_pictures(clip):
    with av.open(str(clip)) as container:
        keys = sum(p.is_keyframe for p in container.demux(video=0) if p.size)
    fed = []
    for number in range(40):
        with CountingReader(clip) as reader:
            reader.read([number])
            fed.append(reader.fed)
    if keys == 40:
        assert fed == [1] * 40
    elif keys > 1:
        assert max(fed) <= 12
    else:
        # Three of four pictures are B; two of these are unreferenced.
        assert fed[-1] <= 22


def test_pictures_that_xvid_joined_are_split(tmp_path):
    plain = write_moving(
        tmp_path / 'plain.avi', 40, codec='mpeg4', options=dict(bf='2', g='15')
    )
    path = pack_as_xvid_does(plain, tmp_path / 'joined.avi')
    assert max(bytes(p).count(b'\0\0\1\xb6') for p in packets(path)) == 2
    everything = in_turn(plain, range(39))
    for wanted in ([0, 20, 38], [5], [16, 17, 18, 30], [1, 2, 3]):
        with CountingReader(path) as reader:
            frames = reader.read(wanted)
            assert reader.fed < 25
        for number, frame in zip(wanted, frames, strict=True):
            assert np.array_equal(frame, everything[number])


def test_display_numbers_follow_from_the_kinds(tmp_path):
    path = write_moving(
        tmp_path / 'b.avi', 8, codec='mpeg4', options=dict(bf='2', g='30')
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        some = notes(container, stream)
        kinds = [mpeg4_kind(bytes(note.packet)) for note in some]
        pictures = order_pictures(stream, some)
    assert kinds == [0, 1, 2, 2, 1, 2, 2, 1]  # I P B B P B B P
    assert [p.number for p in pictures] == [0, 3, 1, 2, 6, 4, 5, 7]
    assert [p.reference for p in pictures] == [k != 2 for k in kinds]
    assert [p.key for p in pictures] == [k == 0 for k in kinds]


def holding(*kinds):
    """A packet with a picture of each kind."""
    return av.Packet(
        b''.join(VOP + bytes([kind << 6]) + bytes(40) for kind in kinds)
    )


EMPTY = av.Packet(VOP + bytes([0x40, 0, 0]))


@pytest.mark.parametrize(
    ('packets', 'packed'),
    [
        ([[0], [1, 2], EMPTY, [1]], True),
        ([[0], [1, 2], [2], EMPTY, [1, 2], EMPTY], True),
        ([[0], [1, 2], EMPTY, [1, 2]], True),  # the file ends
        ([[0], [1, 1], EMPTY], False),
        ([[0], [1, 2, 2], EMPTY], False),
        ([[0], [1, 2], [1]], False),
        ([[0], [1, 2], [1, 2], EMPTY], False),
        ([[0], EMPTY, [1]], False),
        ([[0], [], [1]], False),
    ],
)
def test_only_pictures_packed_as_xvid_does_are_split(packets, packed):
    made = [p if p is EMPTY else holding(*p) for p in packets]
    assert are_packed(made) == packed


def test_a_damaged_second_picture_is_decoded_in_turn(tmp_path):
    path = write_moving(
        tmp_path / 'p.avi', 40, codec='mpeg4', options=dict(bf='0', g='30')
    )
    data = bytearray(path.read_bytes())
    at = [i for i in range(len(data)) if data.startswith(VOP, i)][9]
    data[at + 40 : at + 45] = VOP + bytes([0x40])
    path.write_bytes(data)
    with VideoReader(path) as reader:
        everything = [reader.to_rgb(frame) for frame in reader.frames()]
        found = reader.read(range(0, 40, 5))
    assert len(everything) == 40
    for frame, other in zip(found, everything[::5], strict=True):
        assert np.array_equal(frame, other)


def made(text):
    """Pictures of a drawing: K key, R reference, b for nobody."""
    return [
        Picture(None, int(number), kind == 'K', kind != 'b')
        for kind, number in (word for word in text.split())
    ]


def names(runs):
    return [[p.number for p in run] for run in runs]


@pytest.mark.parametrize(
    ('wanted', 'runs'),
    [
        ([0], [[0]]),
        ([1], [[0, 3, 1]]),
        ([3], [[0, 3]]),
        ([2, 3], [[0, 3, 2]]),
        # A picture after the key picture that is displayed before it.
        ([4], [[0, 3, 5, 4]]),
        ([5], [[5]]),
        ([6], [[5, 7, 6]]),
        ([0, 7], [[0], [5, 7]]),
        ([3, 7], [[0, 3, 5, 7]]),
        ([0, 4, 7], [[0, 3, 5, 4, 7]]),
    ],
)
def test_a_run_has_what_its_frames_need(wanted, runs):
    pictures = made('K0 R3 b1 b2 K5 b4 R7 b6')
    assert names(runs_for(pictures, wanted)) == runs


def test_everything_is_decoded_in_turn_in_case_of_doubt(tmp_path):
    vp9 = write_video(tmp_path / 'clip.webm', 10, codec='libvpx-vp9')
    stream_h264 = write_video(tmp_path / 'clip.ts', 10)
    for path in (vp9, stream_h264):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            some = notes(container, stream)
            assert order_pictures(stream, some) is None
        with VideoReader(path) as reader:
            frames = reader.read([3, 9])
        assert np.array_equal(frames, in_turn(path, [3, 9]))


def test_repeated_time_stamps_are_a_doubt(tmp_path):
    path = write_video(tmp_path / 'clip.mp4', 10)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        some = notes(container, stream)
        some[3].pts = some[4].pts
        assert order_pictures(stream, some) is None


def test_a_wrong_motion_jpeg_index_is_not_used(tmp_path):
    path = write_video(
        tmp_path / 'a.avi', 12, codec='mjpeg', pixels='yuvj420p'
    )
    whole = in_turn(path, range(12))
    content = bytearray(path.read_bytes())
    index = content.index(b'idx1') + 8
    # Its fifth entry has size 0.
    content[index + 4 * 16 + 12 : index + 5 * 16] = bytes(4)
    path.write_bytes(content)
    with VideoReader(path) as reader:
        count = reader.num_frames
        assert count >= 11
        frames = reader.read([0, 2])
    assert np.array_equal(frames, [whole[0], whole[2]])
    # Cut off: the index is gone, and so are the last frames.
    path.write_bytes(content[: packets(path)[6].pos])
    with VideoReader(path) as reader:
        assert 3 <= reader.num_frames < 12 == reader.announced_frames
        assert np.array_equal(reader.read([2])[0], whole[2])


def test_a_fault_in_a_needed_picture_is_an_error(tmp_path):
    path = write_video(
        tmp_path / 'a.avi', 12, codec='mjpeg', pixels='yuvj420p'
    )
    content = bytearray(path.read_bytes())
    fifth = packets(path)[5]
    content[fifth.pos : fifth.pos + fifth.size] = bytes(fifth.size)
    path.write_bytes(content)
    for wanted in itertools.combinations((2, 5, 9), 2):
        with VideoReader(path) as reader:
            if 5 in wanted:
                with pytest.raises(BrokenClipError, match='after 5 of 12'):
                    reader.read(wanted)
            else:  # nothing is known of the others
                assert len(reader.read(wanted)) == 2
