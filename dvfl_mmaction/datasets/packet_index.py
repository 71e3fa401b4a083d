"""Find the packets that must be decoded to read some frames of a video."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
from av.bitstream import BitStreamFilterContext

VOP = b'\0\0\1\xb6'  # starts a picture of MPEG-4 part 2
MAX_EMPTY_VOP = 19  # bytes: an MPEG-4 picture that repeats the last one
I_VOP, B_VOP = 0, 2
AVI_HEAD = 8  # bytes before a picture in AVI


@dataclass
class Picture:
    """A packet that holds exactly one picture.

    Attributes:
        packet: Input of a decoder. Its time stamp is ``number``, which the
            decoder copies to the frame. None if not read yet.
        number: The frame's position in display order, from 0.
        key: Whether decoding can start here: nothing displayed from here
            on needs an earlier picture.
        reference: Whether other pictures may need this one.
    """

    packet: av.Packet | None
    number: int
    key: bool
    reference: bool


def index_stills(container, stream) -> list[Picture] | None:
    """The pictures of a Motion-JPEG AVI file, from its index alone.

    Returns:
        Pictures to be read with :func:`read_still`; None if the file is
        another format or its index is incomplete.
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
    """Read a picture of a file that :func:`index_stills` accepts.

    Raises:
        ValueError: If the index points to something else.
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
    """The picture in each packet, if that is certain.

    Args:
        stream: The stream of the packets; still open.
        packets: All packets of the stream, in file order.

    Returns:
        Pictures in decoding order. None for another codec, or in any doubt
        (lost, cut or joined pictures, missing time stamps): then everything
        must be decoded.
    """
    packets = [packet for packet in packets if packet.size]
    if any(p.is_discard or p.is_corrupt for p in packets):
        return None
    order = dict(h264=order_h264, mpeg4=order_mpeg4, mjpeg=order_mjpeg).get(
        stream.codec_context.name
    )
    pictures = order(stream, packets) if order else None
    if pictures is None or len(pictures) != len(packets):
        return None
    for picture in pictures:
        picture.packet.pts = picture.number
    return pictures


def order_mjpeg(stream, packets):
    return [Picture(p, i, True, False) for i, p in enumerate(packets)]


def order_h264(stream, packets):
    """Numbers from time stamps; key and reference from slice headers."""
    extra = stream.codec_context.extradata or b''
    times = [packet.pts for packet in packets]
    if extra[:1] != b'\1' or len(extra) < 7 or None in times:
        return None  # not the form in MP4 and Matroska
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
        # A packet with new parameters (7, 8) is never skipped.
        reference = any(h & 0x60 or h & 31 in (7, 8) for h in heads)
        number = numbers[packet.pts]
        pictures.append(Picture(packet, number, key, reference))
    return pictures


def h264_heads(data: memoryview, length_size: int) -> Iterator[int]:
    """First byte of each unit: its type (& 31) and rank (& 0x60)."""
    at = 0
    while at + length_size < len(data):
        size = int.from_bytes(data[at : at + length_size], 'big')
        if data[at + length_size] & 31 != 6:  # its rank has no meaning
            yield data[at + length_size]
        at += length_size + size


def order_mpeg4(stream, packets):
    """Numbers from the kinds of the pictures.

    A B-picture is displayed at once; any other one is displayed when the
    next one that is not a B-picture arrives.
    """
    kinds = mpeg4_kinds(packets)
    if kinds is None and are_packed(packets):
        packets = split_packed(stream, packets)
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
                number -= 1  # the first one waits; nothing is displayed
            waiting = picture
        number += 1
    waiting.number = number
    return pictures


def are_packed(packets: list) -> bool:
    """Whether B-pictures are packed as DivX and XviD do.

    They put a picture and the B-picture after it into one packet. Other
    B-pictures follow, then an empty picture fills the gap. In any other
    file, a second picture in a packet is damage; split, it would not decode
    to the same pixels each time.
    """
    waiting = False  # for the empty picture
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


def split_packed(stream, packets: list) -> list:
    """One picture per packet, for a file that :func:`are_packed` accepts."""
    unpack = BitStreamFilterContext('mpeg4_unpack_bframes', stream)
    single = []
    for packet in packets:
        single += unpack.filter(
            av.Packet(bytes(packet))
        )  # the filter empties its input
    return single + unpack.filter(None)


def mpeg4_kinds(packets: list) -> list[int] | None:
    """The kind of each packet; None if :func:`mpeg4_kind` is, for any."""
    kinds = []
    for packet in packets:
        kinds.append(mpeg4_kind(bytes(packet)))
        if kinds[-1] is None:
            return None
    return kinds


def mpeg4_kind(data: bytes) -> int | None:
    """I, P, B or S (0 to 3); None unless it is one picture, not empty."""
    at = data.find(VOP) + len(VOP)
    single = len(VOP) <= at < len(data) and data.find(VOP, at) < 0
    return data[at] >> 6 if single and len(data) > MAX_EMPTY_VOP else None


def runs_for(
    pictures: list[Picture], wanted: Iterable[int]
) -> list[list[Picture]]:
    """The pictures to decode, in runs that are decoded independently.

    Each run starts with a key picture. It holds the wanted frames, and all
    references before the last of them.
    """
    missing, runs, run, pending = set(wanted), [], [], []
    for picture in pictures:
        if not missing:
            break
        # Pictures after a key picture may be displayed before it.
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
