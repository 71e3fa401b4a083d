"""Find the packets that must be decoded to read some frames of a video."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import av
from av.bitstream import BitStreamFilterContext

VOP = b'\0\0\1\xb6'  # starts a picture of MPEG-4 part 2
MAX_EMPTY_VOP = 19  # bytes: an MPEG-4 picture that repeats the last one
I_VOP, B_VOP = 0, 2
TIME_CODE = b'\0\0\1\xb3'  # starts a time code in front of a picture
AVI_HEAD = 8  # bytes before a picture in AVI
MJPEG_HEAD = 4096  # bytes in which the tables of a picture are expected
JPEG_START = b'\xff\xd8'
JPEG_TABLES = b'\xff\xdb', b'\xff\xc4'  # quantisation, Huffman


@dataclass(slots=True)
class PacketNote:
    """What is known of a packet, also if its data are not kept.

    Attributes:
        packet: None if the data are not kept.
        discarded: Whether it is decoded but not shown (edit lists).
        corrupt: Whether FFmpeg calls it so.
        key: Whether the container calls it a key picture.
        content: What the codec's function in ``NOTERS`` returns.
    """

    packet: av.Packet | None
    pts: int | None
    dts: int | None
    size: int
    pos: int | None
    discarded: bool
    corrupt: bool
    key: bool
    content: object

    def describes(self, packet: av.Packet) -> bool:
        found = packet.pts, packet.size, packet.pos
        return found == (self.pts, self.size, self.pos)


@dataclass(slots=True)
class Picture:
    """A packet that holds exactly one picture.

    Attributes:
        packet: Input of a decoder. Its time stamp is ``number``, which the
            decoder copies to the frame. None if not read yet.
        number: The frame's position in display order, from 0.
        key: Whether decoding can start here: nothing displayed from here
            on needs an earlier picture.
        reference: Whether other pictures may need this one.
        position: The packet's position in the stream, from 0.
    """

    packet: av.Packet | None
    number: int
    key: bool
    reference: bool
    position: int = -1


def note_packet(stream, packet: av.Packet) -> PacketNote:
    """Note what :func:`order_pictures` needs of a packet."""
    note = NOTERS.get(stream.codec_context.name)
    return PacketNote(
        packet,
        packet.pts,
        packet.dts,
        packet.size,
        packet.pos,
        packet.is_discard,
        packet.is_corrupt,
        packet.is_keyframe,
        note(stream, packet) if note else None,
    )


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
    if not note_mjpeg(stream, packet):
        raise ValueError('the picture needs the tables of another one')
    packet.pts = number
    return packet


def order_pictures(stream, notes: list[PacketNote]) -> list[Picture] | None:
    """The picture in each packet, if that is certain.

    Time stamps of packets that are kept become the pictures' numbers.

    Args:
        stream: The stream of the packets; still open.
        notes: One per packet of the stream that is not empty, in file order.

    Returns:
        Pictures in decoding order. None for another codec, or in any doubt
        (lost, cut or joined pictures, missing time stamps): then everything
        must be decoded.
    """
    order = ORDERS.get(stream.codec_context.name)
    if order is None or any(n.discarded or n.corrupt for n in notes):
        return None
    pictures = order(stream, notes)
    if pictures is None or len(pictures) != len(notes):
        return None
    if not pictures[0].key:
        return None
    for position, picture in enumerate(pictures):
        picture.position = position
        if picture.packet is not None:
            picture.packet.pts = picture.number
    return pictures


def may_lose_frames(notes: list[PacketNote]) -> bool:
    """Whether some pictures may need others that the file does not hold."""
    if not notes:
        return False
    times = [note.pts for note in notes]
    if not notes[0].key or None in times or min(times) < times[0]:
        return True
    return any(note.corrupt for note in notes)


def note_mjpeg(stream, packet) -> bool:
    """Whether a picture is complete: it has all of its tables."""
    head = bytes(memoryview(packet)[:MJPEG_HEAD])
    return head[:2] == JPEG_START and all(t in head for t in JPEG_TABLES)


def order_mjpeg(stream, notes):
    if not all(note.content for note in notes):
        return None
    return [Picture(n.packet, i, True, False) for i, n in enumerate(notes)]


def note_h264(stream, packet) -> tuple[bool, bool, bool] | None:
    """Key picture? For reference? With parameters? None if uncertain."""
    extra = stream.codec_context.extradata or b''
    if extra[:1] != b'\1' or len(extra) < 7:
        return None  # not the form in MP4 and Matroska
    heads = list(h264_heads(memoryview(packet), (extra[4] & 3) + 1))
    kinds = {head & 31 for head in heads}
    slices = [head for head in heads if 1 <= head & 31 <= 5]
    if not slices or {head & 31 for head in slices} - {1, 5}:
        return None  # cut off, or in data partitions
    key = all(head & 31 == 5 for head in slices)
    reference = any(head & 0x60 for head in heads)
    return key, reference, bool(kinds & {7, 8})


def order_h264(stream, notes):
    """Numbers from time stamps; key and reference from slice headers."""
    times = [note.pts for note in notes]
    if None in times or not all(note.content for note in notes):
        return None
    numbers = {time: i for i, time in enumerate(sorted(times))}
    if len(numbers) < len(times):
        return None
    contents = [note.content for note in notes]
    with_parameters = [parameters for _, _, parameters in contents]
    # A run that starts at any key picture must have them.
    if any(with_parameters) and with_parameters != [c[0] for c in contents]:
        return None
    ordered = [numbers[time] for time in times]
    depth = reorder_depth(ordered)
    if depth and depth > announced_depth(stream):
        return None  # decoding in turn may lose frames or their order
    return [
        Picture(note.packet, number, key, reference)
        for note, number, (key, reference, _) in zip(
            notes, ordered, contents, strict=True
        )
    ]


def reorder_depth(numbers: list[int]) -> int:
    """Most pictures that are decoded before, and displayed after, another.

    Args:
        numbers: Of the frames, in decoding order.
    """
    depth, waiting, following = 0, [], 0
    for number in numbers:
        heappush(waiting, number)
        while waiting and waiting[0] == following:
            heappop(waiting)
            following += 1
        depth = max(depth, len(waiting))
    return depth


def h264_heads(data: memoryview, length_size: int) -> Iterator[int]:
    """First byte of each unit: its type (& 31) and rank (& 0x60)."""
    at = 0
    while at + length_size < len(data):
        size = int.from_bytes(data[at : at + length_size], 'big')
        if data[at + length_size] & 31 != 6:  # its rank has no meaning
            yield data[at + length_size]
        at += length_size + size


def announced_depth(stream) -> int:
    """How many pictures the decoder waits for, according to the header."""
    context = stream.codec_context
    return getattr(context, 'reorder_depth', int(context.has_b_frames))


def note_mpeg4(stream, packet) -> tuple[int | None, bytes]:
    """:func:`mpeg4_kind`, and the headers in front of the picture."""
    data = bytes(packet)
    headers = data[: max(0, data.find(VOP))].partition(TIME_CODE)[0]
    return mpeg4_kind(data), headers


def order_mpeg4(stream, notes):
    """Numbers from the kinds of the pictures.

    A B-picture is displayed at once; any other one is displayed when the
    next one that is not a B-picture arrives.
    """
    packets = [note.packet for note in notes]
    contents = [note.content for note in notes]
    if any(kind is None for kind, _ in contents):
        if None in packets or not are_packed(packets):
            return None
        packets = split_packed(stream, packets)
        contents = [note_mpeg4(stream, packet) for packet in packets]
    kinds = [kind for kind, _ in contents]
    if None in kinds or not are_headers_repeated(stream, contents):
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


def are_headers_repeated(stream, contents: list) -> bool:
    """Whether a decoder has the same headers at any key picture.

    They also name the encoder, for whose faults the decoder corrects.
    """
    extra = stream.codec_context.extradata or b''
    first = contents[0][1]
    for kind, headers in contents:
        if headers in extra and (kind != I_VOP or first in extra):
            continue
        if kind != I_VOP or headers != first:
            return False
    return True


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


def mpeg4_kind(data: bytes) -> int | None:
    """I, P, B or S (0 to 3); None unless it is one picture, not empty."""
    at = data.find(VOP) + len(VOP)
    single = len(VOP) <= at < len(data) and data.find(VOP, at) < 0
    return data[at] >> 6 if single and len(data) > MAX_EMPTY_VOP else None


NOTERS = dict(h264=note_h264, mpeg4=note_mpeg4, mjpeg=note_mjpeg)
ORDERS = dict(h264=order_h264, mpeg4=order_mpeg4, mjpeg=order_mjpeg)


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
