"""Read frames of a video file, or report why it cannot be read."""

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain

import av
import numpy as np

from .packet_index import (
    Picture,
    index_stills,
    may_lose_frames,
    note_packet,
    order_pictures,
    read_still,
    runs_for,
)
from .video_file import (
    TIMEOUT_S,
    BrokenClipError,
    TimeLimit,
    decoder_reason,
    open_video,
    rgb_picture,
)

__all__ = ['BrokenClipError', 'VideoReader', 'decoder_reason']

KEPT_BYTES = 64 << 20  # of packets; those of larger files are read again


class VideoReader:
    """The best video stream of a file, as FFmpeg rates them.

    Cover pictures and thumbnails are never read. A file that makes FFmpeg
    open other files (lists for concat, HLS, DASH) is no video.

    A frame's number is its position in display order, from 0. Time stamps
    are ignored, so a variable frame rate changes nothing. Frames are
    bit-identical to those of decoding the file in turn with FFmpeg's
    defaults; decord's are too at 8 bits per channel, but not at 10. A
    rotation in the file's metadata is applied. One thread decodes.

    Pictures of H.264 and MPEG-4 part 2 that no wanted frame needs are
    skipped if they can be identified with certainty: unreferenced
    B-pictures, and all pictures between a wanted frame and the last key
    picture before the next one. Of Motion-JPEG, only the wanted frames are
    decoded; from AVI, only they are read. In any doubt, and for interlaced
    pictures and other codecs, all are decoded, up to the last wanted frame.

    For 8 of 180 frames at 320 x 240, reading takes this share of the
    processor time of decoding in turn: 0.65 to 1.07 (H.264; 1.07 with one
    key picture and no B-pictures), 0.38 to 0.99 (MPEG-4), 0.14 to 0.21
    (Motion-JPEG).

    Up to 64 MiB of packets are held in memory; larger files are read again.

    Use it as a context manager, which closes the file and frees its memory.

    Args:
        path: A file of any container and codec that FFmpeg reads.
        timeout_s: Longest time in s for opening the file and one call of
            :meth:`read` or :meth:`frames`, without the time that the caller
            takes between frames. None for no limit.

    Attributes:
        num_frames: Number of packets that are shown, and of frames that can
            be read.
        announced_frames: Number in the header, without frames that an MP4
            file's edit list hides and repeats that AVI does not store; 0 if
            unknown. Larger than ``num_frames`` if the end of the file is
            missing.
        avg_fps: Frames per second; 0 if unknown.
        width, height: In pixels, before the rotation.
        codec, pixel_format: FFmpeg's names.
        stream_index: The stream's number in the file, from 0.

    Raises:
        BrokenClipError: If the file is missing, is not a video, takes too
            long, or its video stream is empty.
    """

    def __init__(
        self, path: str | os.PathLike, timeout_s: float | None = TIMEOUT_S
    ):
        self._path = os.fspath(path)
        self._limit = TimeLimit(timeout_s)
        self._notes, self._pictures, self._strict = [], None, False
        self._decodable = None  # number of frames, once it is known
        self._container, self._stream = open_video(self._path, self._limit)
        try:
            self._read_headers()
        except BaseException:
            self.close()
            raise
        self._opening_s = self._limit.elapsed()

    def _read_headers(self):
        stream, self._decoder = self._stream, self._stream.codec_context
        self._pictures = index_stills(self._container, stream)
        if self._pictures is None:
            self._note_packets()
        else:
            self.num_frames = len(self._pictures)
        self._untouched = self._pictures is None
        self.announced_frames = self._announced(stream)
        self.avg_fps = float(stream.average_rate or 0)
        self.stream_index = stream.index
        self.codec = self._decoder.name
        self.pixel_format = self._decoder.pix_fmt or 'unknown'
        self.width, self.height = self._decoder.width, self._decoder.height

    def _note_packets(self):
        """Note all packets; keep them if they are small."""
        notes, size, keep = [], 0, True
        try:
            for packet in self._demux(self._container, self._stream):
                notes.append(note_packet(self._stream, packet))
                size += packet.size
                if keep and size > KEPT_BYTES:
                    keep = False
                    for note in notes:
                        note.packet = None
                elif not keep:
                    notes[-1].packet = None
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(decoder_reason(error)) from None
        self._notes = notes
        # The decoder does not return the pictures that are only decoded
        # because others refer to them.
        self.num_frames = sum(not note.discarded for note in notes)
        if not self.num_frames:
            raise BrokenClipError('the video stream is empty')

    def _demux(self, container, stream) -> Iterator[av.Packet]:
        """All packets with data."""
        try:
            for packet in container.demux(stream):
                self._limit.check()
                if packet.size:
                    yield packet
        except av.error.ExitError:
            raise BrokenClipError(self._limit.reason()) from None

    def _announced(self, stream: av.video.stream.VideoStream) -> int:
        """The number of visible frames according to the header."""
        notes, family = self._notes, self._container.format.name
        if not notes:
            return stream.frames  # :func:`index_stills` checked it
        if stream.frames and family.startswith('mov'):
            # The index follows the edit list, but also holds frames that
            # are only decoded because others refer to them.
            unseen = sum(note.discarded for note in notes)
            return len(stream.index_entries) - unseen
        if stream.frames and family == 'avi':
            # Time stamps are positions; repeats leave some of them empty.
            positions = 1 + max(note.dts or 0 for note in notes)
            return stream.frames - max(0, positions - len(notes))
        return stream.frames

    def read(self, indices: Iterable[int]) -> list[np.ndarray]:
        """Frames by number, in the given order; repeats are allowed.

        If the decoder returns fewer frames than packets without an error,
        the numbers are scaled to the frames that it returns. A file that
        begins between key pictures is decoded twice, to count them.

        Args:
            indices: Numbers in [0, ``num_frames``).

        Returns:
            One frame per number, (H, W, 3) uint8 RGB. Repeated frames are
            the same array.

        Raises:
            BrokenClipError: If a frame cannot be decoded that is needed for
                the wanted ones, or if reading takes too long.
        """
        self._limit.start(self._opening_s)
        indices = [int(i) for i in indices]
        frames = self._decode_needed(set(indices))
        if frames is None:
            if self._decodable is None and may_lose_frames(self._notes):
                self._decodable = sum(1 for _ in self._decode_in_turn())
            frames = self._pick_scaled(indices)
            if frames is None:  # the number is known now
                frames = self._pick_scaled(indices)
            indices = self._scaled(indices)
        return [frames[i] for i in indices]

    def frames(self) -> Iterator[av.VideoFrame]:
        """All frames, one at a time, in display order.

        They have the pixel format of the file and are not rotated;
        :meth:`to_rgb` converts and rotates.

        Raises:
            BrokenClipError: At the first frame that cannot be decoded, or
                when decoding takes too long.
        """
        self._limit.start(self._opening_s)
        for frame in self._decode_in_turn():
            began = time.monotonic()
            yield frame
            self._limit.pause(time.monotonic() - began)

    def _decode_in_turn(self) -> Iterator[av.VideoFrame]:
        """All frames, from a decoder that has not been fed before.

        A flush does not reset all of a decoder's state.
        """
        container, stream, count = None, self._stream, 0
        try:
            if self._untouched and self._notes[0].packet is not None:
                self._untouched = False
                packets = (note.packet for note in self._notes)
            else:
                container, stream = open_video(self._path, self._limit)
                packets = self._demux(container, stream)
            for packet in chain(packets, [None]):
                self._limit.check()
                for frame in stream.codec_context.decode(packet):
                    yield frame
                    count += 1
        except (av.FFmpegError, ValueError, OSError) as error:
            raise BrokenClipError(
                f'{decoder_reason(error)} after {count} of '
                f'{self.num_frames} frames'
            ) from None
        finally:
            if container is not None:
                container.close()

    def _decode_needed(self, wanted: set[int]) -> dict | None:
        """The wanted frames, by number; None in any doubt.

        Every picture must leave the decoder, in display order, progressive
        and without a fault.
        """
        if self._pictures is None:
            pictures = order_pictures(self._stream, self._notes)
            self._pictures = pictures or []
        if not self._pictures:
            return None
        self._untouched, frames = False, {}
        try:
            self._make_strict()
            for run in runs_for(self._pictures, wanted):
                self._decoder.flush_buffers()
                last = max(p.number for p in run if p.number in wanted)
                expected = iter(sorted(p.number for p in run))
                for frame in self._decode_run(run):
                    if frame.pts != next(expected, None):
                        return None
                    if frame.interlaced_frame or frame.is_corrupt:
                        return None
                    if frame.pts in wanted:
                        frames[frame.pts] = self.to_rgb(frame)
                    if frame.pts == last:
                        break
        except (av.FFmpegError, ValueError, OSError):
            return None  # decoding all frames reports the reason
        return frames if len(frames) == len(wanted) else None

    def _make_strict(self):
        """Let the decoder fail at faults that it would conceal.

        What it shows instead depends on the pictures before.
        """
        if self._strict:
            return
        if self._decoder.is_open:
            self._container.close()
            self._container, self._stream = open_video(self._path, self._limit)
            self._decoder = self._stream.codec_context
        options = self._decoder.options
        self._decoder.options = options | dict(err_detect='explode')
        self._strict = True

    def _decode_run(self, run: list[Picture]) -> Iterator[av.VideoFrame]:
        for packet in self._packets_of(run):
            self._limit.check()
            yield from self._decoder.decode(packet)
        yield from self._decoder.decode(None)

    def _packets_of(self, run: list[Picture]) -> Iterator[av.Packet]:
        if run[0].packet is not None:
            yield from (picture.packet for picture in run)
        elif self._notes:
            yield from self._read_again(run)
        else:
            for picture in run:
                yield read_still(self._container, self._stream, picture.number)

    def _read_again(self, run: list[Picture]) -> Iterator[av.Packet]:
        """Packets that were not kept.

        Raises:
            ValueError: If they are not the same as before.
        """
        first = self._notes[run[0].position]
        last = run[-1].position
        numbers = {picture.position: picture.number for picture in run}
        time_stamp = first.pts if first.dts is None else first.dts
        self._container.seek(time_stamp, stream=self._stream)
        position = None
        for packet in self._demux(self._container, self._stream):
            if position is None:
                position = self._position(packet, run[0].position)
            if not self._notes[position].describes(packet):
                raise ValueError('the file has changed')
            if position in numbers:
                packet.pts = numbers[position]
                yield packet
            if position == last:
                return
            position += 1

    def _position(self, packet: av.Packet, latest: int) -> int:
        """The position of a packet, at most ``latest``."""
        for position in range(latest, -1, -1):
            if self._notes[position].describes(packet):
                return position
        raise ValueError('seeking goes too far')

    def _pick_scaled(self, indices: list[int]) -> dict | None:
        """The frames by scaled number; None if there are fewer than known."""
        wanted, found, count = set(self._scaled(indices)), {}, 0
        for count, frame in enumerate(self._decode_in_turn(), 1):
            if count - 1 in wanted:
                found[count - 1] = self.to_rgb(frame)
            if len(found) == len(wanted):
                return found
        self._decodable = count
        return None

    def _scaled(self, indices: list[int]) -> list[int]:
        """Numbers among the frames that the decoder returns."""
        if self._decodable is None:
            return indices
        if not self._decodable:
            raise BrokenClipError('no frame can be decoded')
        return [i * self._decodable // self.num_frames for i in indices]

    def to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, rotated; one size throughout the file.

        Raises:
            BrokenClipError: If its pixel format cannot be converted.
        """
        return rgb_picture(frame, self.width, self.height)

    def close(self):
        """Close the file and release its packets."""
        self._notes, self._pictures = [], []
        self._decoder = self._stream = None
        self._container.close()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *_):
        self.close()
