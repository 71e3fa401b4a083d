"""Which packets of a video must be decoded to have some of its frames."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
from av.bitstream import BitStreamFilterContext

VOP = b'\0\0\1\xb6'  # starts a picture of MPEG-4 part 2
MAX_EMPTY_VOP = 19  # bytes: an MPEG-4 picture that says "as before"
I_VOP, B_VOP = 0, 2
AVI_HEAD = 8  # bytes before a picture in AVI


@dataclass
class Picture:
    """A packet that holds one picture, whole.

    Attributes:
        packet: What a decoder takes, with ``number`` for its time stamp,
            which the decoder hands on to the frame; None if not read yet.
        number: The frame's place in the order of display, from 0.
        key: Decoding can start here: what is displayed from here on needs
            nothing before.
        reference: Other pictures may need this one.
    """

    packet: av.Packet | None
    number: int
    key: bool
    reference: bool


def index_stills(container, stream) -> list[Picture] | None:
    """The pictures of a Motion-JPEG AVI file, from its index alone.

    Returns:
        Pictures to be read with :func:`read_still`; None where the file is
        no such file, or its index is not whole.
    """
    codec = stream.codec_context.name
    if codec != 'mjpeg' or container.format.name != 'avi':
        return None
    entries = list(stream.index_entries)
    whole = all(e.size and e.timestamp == i for i, e in enumerate(entries))
    if not whole or not 0 < len(entries) == stream.frames:
        return None
    if max(e.pos + e.size for e in entries) > container.size:
        return None
    return [Picture(None, i, True, False) for i in range(len(entries))]


def read_still(container, stream, number: int) -> av.Packet:
    """A picture of a file that :func:`index_stills` knows.

    Raises:
        ValueError: If there is another one in its place.
    """
    container.seek(number, stream=stream)
    packet = next(container.demux(stream), None)
    entry = stream.index_entries[number]
    found = packet and (packet.dts, packet.size, packet.pos)
    if found != (number, entry.size, entry.pos + AVI_HEAD):
        raise ValueError('the index of the file is wrong')
    packet.pts = number
    return packet


def order_pictures(stream, packets: list) -> list[Picture] | None:
    """What each packet holds, where that is certain.

    Args:
        stream: The packets' stream, that is still open.
        packets: All of the stream, in the order of the file.

    Returns:
        In the order of decoding; None where the codec is another one or
        anything about the file leaves a doubt (lost, cut or joined
        pictures, time stamps that are missing): decode all of it then.
    """
    packets = [packet for packet in packets if packet.size]
    if any(p.is_discard or p.is_corrupt for p in packets):
        return None
    describe = dict(h264=order_h264, mpeg4=order_mpeg4, mjpeg=order_mjpeg).get(
        stream.codec_context.name
    )
    pictures = describe(stream, packets) if describe else None
    if pictures is None or len(pictures) != len(packets):
        return None
    for picture in pictures:
        picture.packet.pts = picture.number
    return pictures


def order_mjpeg(stream, packets):
    return [Picture(p, i, True, False) for i, p in enumerate(packets)]


def order_h264(stream, packets):
    """Numbers from the time stamps; roles from the heads of the slices."""
    extra = stream.codec_context.extradata or b''
    times = [packet.pts for packet in packets]
    if extra[:1] != b'\1' or len(extra) < 7 or None in times:
        return None  # not as MP4 and Matroska hold it
    numbers = {time: i for i, time in enumerate(sorted(times))}
    if len(numbers) < len(times):
        return None
    pictures = []
    for packet in packets:
        heads = list(h264_heads(memoryview(packet), (extra[4] & 3) + 1))
        slices = [h for h in heads if 1 <= h & 31 <= 5]
        if not slices or {h & 31 for h in slices} - {1, 5}:
            return None  # cut off, or in data partitions
        key = all(h & 31 == 5 for h in slices)
        # A packet that brings new parameters (7, 8) is never left out.
        reference = any(h & 0x60 or h & 31 in (7, 8) for h in heads)
        number = numbers[packet.pts]
        pictures.append(Picture(packet, number, key, reference))
    return pictures


def h264_heads(data: memoryview, length_size: int) -> Iterator[int]:
    """First byte of each unit: its type (& 31) and rank (& 0x60)."""
    at = 0
    while at + length_size < len(data):
        size = int.from_bytes(data[at : at + length_size], 'big')
        if data[at + length_size] & 31 != 6:  # its rank says nothing
            yield data[at + length_size]
        at += length_size + size


def order_mpeg4(stream, packets):
    """Numbers from the kinds of the pictures.

    A B-picture is displayed at once, another one when the next that is no
    B-picture comes.
    """
    kinds = mpeg4_kinds(packets)
    if kinds is None and are_packed(packets):
        packets = take_apart(stream, packets)
        kinds = mpeg4_kinds(packets)
    if kinds is None:
        return None
    if B_VOP in kinds and not stream.codec_context.has_b_frames:
        return None
    if kinds[0] != I_VOP or B_VOP in kinds[:2]:
        return None  # cut out of another file
    pictures, waiting, number = [], None, 0
    for packet, kind in zip(packets, kinds, strict=True):
        picture = Picture(packet, number, kind == I_VOP, kind != B_VOP)
        pictures.append(picture)
        if kind != B_VOP:
            if waiting:
                waiting.number = number
            else:
                number -= 1  # the first one waits, and nothing is displayed
            waiting = picture
        number += 1
    waiting.number = number
    return pictures


def are_packed(packets: list) -> bool:
    """Whether the file is one as DivX and XviD make them.

    They put a picture and the first B-picture after it into one packet;
    other B-pictures follow, then an empty one in the place that is left. In
    any other file a second picture in a packet is damage, which is not
    decoded to the same pixels each time once it is taken apart.
    """
    waiting = False  # for the empty one
    for packet in packets:
        _, *pictures = bytes(packet).split(VOP)
        kinds = [picture[0] >> 6 for picture in pictures if picture]
        if len(kinds) == 2 and kinds[1] == B_VOP and not waiting:
            waiting = True
        elif len(kinds) != 1 or len(pictures) != 1:
            return False
        elif packet.size <= MAX_EMPTY_VOP:
            if not waiting:
                return False
            waiting = False
        elif waiting and kinds[0] != B_VOP:
            return False
    return True


def take_apart(stream, packets: list) -> list:
    """A picture a packet, of a file of which :func:`are_packed` is true."""
    unpack = BitStreamFilterContext('mpeg4_unpack_bframes', stream)
    single = []
    for packet in packets:
        single += unpack.filter(av.Packet(bytes(packet)))  # it empties them
    return single + unpack.filter(None)


def mpeg4_kinds(packets: list) -> list[int] | None:
    """The kind of each, as :func:`mpeg4_kind`; None if one has none."""
    kinds = []
    for packet in packets:
        kinds.append(mpeg4_kind(bytes(packet)))
        if kinds[-1] is None:
            return None
    return kinds


def mpeg4_kind(data: bytes) -> int | None:
    """I, P, B or S (0 to 3); None if it is not one picture, or empty."""
    at = data.find(VOP) + len(VOP)
    single = len(VOP) <= at < len(data) and data.find(VOP, at) < 0
    return data[at] >> 6 if single and len(data) > MAX_EMPTY_VOP else None


def runs_for(
    pictures: list[Picture], wanted: Iterable[int]
) -> list[list[Picture]]:
    """The pictures to decode, in runs that each start afresh.

    Each run begins with a key picture and holds what its wanted frames
    need: every reference from there on, and they themselves.
    """
    missing, runs, run, pending = set(wanted), [], [], []
    for picture in pictures:
        if not missing:
            break
        # Pictures may come after a key picture and be displayed before it.
        if picture.key and min(missing) >= picture.number:
            if run and pending:
                runs.append(run)
                run = []
            pending = []
        needed = picture.number in missing
        if picture.reference or needed:
            pending.append(picture)
        if needed:
            missing.remove(picture.number)
            run += pending
            pending = []
    return [*runs, run] if run else runs
