"""Frames of a video file, or the reason why there are none."""

import os
from collections.abc import Iterable, Iterator

import av
import numpy as np

from .packet_index import (
    Picture,
    index_stills,
    order_pictures,
    read_still,
    runs_for,
)

# libav's own lines name no file; who reads the clip tells what is wrong.
av.logging.set_level(None)


class BrokenClipError(Exception):
    """A clip that cannot be read; the message is the reason, one line."""


class VideoReader:
    """The first video stream of a file.

    A frame's number is its place in the order of display, from 0. Time
    stamps are not looked at, so a variable frame rate changes nothing.
    Pixels are to the bit those of decord and of FFmpeg's defaults, and a
    rotation that the file asks for is made. One thread decodes.

    Pictures that no wanted frame needs are not decoded, where it is certain
    which these are: B-pictures that nothing refers to, and all between one
    wanted frame and the last key picture before the next. Motion-JPEG in
    AVI is not even read but for the frames wanted.

    Use it as a context: the file is closed at the end, and its memory given
    back.

    Args:
        path: A file of any container and codec that FFmpeg reads.

    Attributes:
        num_frames: Packets of the stream: frames that can be asked for.
        announced_frames: What the header says, without the frames that an
            MP4 file's edit list cuts away and those that AVI leaves out as
            repeats; 0 where it says nothing. More than ``num_frames`` where
            the end of the file is missing.
        avg_fps: Frames per second; 0 where the file does not say.
        width, height: In pixels, before the rotation.
        codec, pixel_format: FFmpeg's names.

    Raises:
        BrokenClipError: If the file is not there, is no video, or holds
            nothing of its video stream.
    """

    def __init__(self, path: str | os.PathLike):
        path = os.fspath(path)
        if not os.path.isfile(path):
            raise BrokenClipError('there is no such file')
        if not os.path.getsize(path):
            raise BrokenClipError('the file is empty')
        try:
            self._container = av.open(path, metadata_errors='ignore')
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(f'no video: {one_line(error)}') from None
        try:
            self._read_packets()
        except BaseException:
            self.close()
            raise

    def _read_packets(self):
        if not self._container.streams.video:
            raise BrokenClipError('the file has no video stream')
        stream = self._container.streams.video[0]
        self._decoder = stream.codec_context
        if self._decoder is None:
            raise BrokenClipError('no decoder for the video stream')
        self._decoder.thread_count = 1
        self._stream, self._packets = stream, []
        self._pictures = index_stills(self._container, stream)
        if self._pictures is None:
            self._read_all_packets()
        else:
            self.num_frames = len(self._pictures)
        self.announced_frames = self._announced(stream)
        self.avg_fps = float(stream.average_rate or 0)
        self.codec = self._decoder.name
        self.pixel_format = self._decoder.pix_fmt or 'unknown'
        self.width, self.height = self._decoder.width, self._decoder.height

    def _read_all_packets(self):
        try:
            if self._pictures:  # it may have jumped about
                self._container.seek(0, stream=self._stream)
            self._packets = list(self._container.demux(self._stream))
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(one_line(error)) from None
        # The last packet is empty: it has the decoder give what it holds.
        self.num_frames = sum(packet.size > 0 for packet in self._packets)
        if not self.num_frames:
            raise BrokenClipError('the video stream is empty')

    def _announced(self, stream: av.video.stream.VideoStream) -> int:
        """What the header says of the frames that are to be seen."""
        packets = [packet for packet in self._packets if packet.size > 0]
        family = self._container.format.name
        if not packets:
            return stream.frames  # :func:`index_stills` found as many
        if stream.frames and family.startswith('mov'):
            # The edit list has been applied to the index; frames that are
            # decoded for others' sake only are still in it.
            unseen = sum(packet.is_discard for packet in packets)
            return len(stream.index_entries) - unseen
        if stream.frames and family == 'avi':
            # A time stamp counts places, some of which are left empty.
            places = 1 + max(packet.dts or 0 for packet in packets)
            return stream.frames - max(0, places - len(packets))
        return stream.frames

    def read(self, indices: Iterable[int]) -> list[np.ndarray]:
        """Frames by number, in the order given; one may be asked twice.

        Where the decoder gives fewer frames than there are packets, and no
        error, the numbers are scaled to what it gives.

        Args:
            indices: Numbers in [0, ``num_frames``).

        Returns:
            A frame a number, (H, W, 3) uint8 RGB. Frames that were asked
            twice are the same array.

        Raises:
            BrokenClipError: If a frame up to the last one asked for cannot
                be decoded, of those that have to be decoded for them.
        """
        indices = [int(i) for i in indices]
        frames = self._decode_needed(set(indices))
        if frames is None:
            frames, count = self._pick(set(indices))
            if len(frames) < len(set(indices)):
                if not count:
                    raise BrokenClipError('no frame can be decoded')
                indices = [i * count // self.num_frames for i in indices]
                frames, count = self._pick(set(indices))
        return [frames[i] for i in indices]

    def frames(self) -> Iterator[av.VideoFrame]:
        """All frames, one at a time, in the order of display.

        They are as the decoder gives them: in their own pixel format, and
        not yet turned. :meth:`to_rgb` does both.

        Raises:
            BrokenClipError: At the first that cannot be decoded.
        """
        if not self._packets:
            self._read_all_packets()
        self._decoder.flush_buffers()
        count = 0
        try:
            for packet in self._packets:
                for frame in self._decoder.decode(packet):
                    yield frame
                    count += 1
        except (av.FFmpegError, ValueError, OSError) as error:
            raise BrokenClipError(
                f'{one_line(error)} after {count} of {self.num_frames} frames'
            ) from None

    def _decode_needed(self, wanted: set[int]) -> dict | None:
        """The frames wanted, by number; None if it did not go as foreseen.

        Every picture that goes in has to come out, in the order of display.
        """
        if self._pictures is None:
            self._pictures = order_pictures(self._stream, self._packets)
        frames = {}
        try:
            for run in runs_for(self._pictures or (), wanted):
                self._decoder.flush_buffers()
                last = max(p.number for p in run if p.number in wanted)
                foreseen = iter(sorted(p.number for p in run))
                for frame in self._decode_run(run):
                    if frame.pts != next(foreseen, None):
                        return None
                    if frame.pts in wanted:
                        frames[frame.pts] = self.to_rgb(frame)
                    if frame.pts == last:
                        break
        except (av.FFmpegError, ValueError, OSError):
            return None  # decoding in turn will tell
        return frames if len(frames) == len(wanted) else None

    def _decode_run(self, run: list[Picture]):
        for picture in run:
            packet = picture.packet or read_still(
                self._container, self._stream, picture.number
            )
            yield from self._decoder.decode(packet)
        yield from self._decoder.decode(None)

    def _pick(self, wanted: set[int]) -> tuple[dict[int, np.ndarray], int]:
        """The frames wanted, by number, and how many there are up to them."""
        found, count = {}, 0
        for count, frame in enumerate(self.frames(), 1):
            if count - 1 in wanted:
                found[count - 1] = self.to_rgb(frame)
            if len(found) == len(wanted):
                break
        return found, count

    def to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, turned; of one size throughout the file.

        Raises:
            BrokenClipError: If its pixel format cannot be converted.
        """
        try:
            image = frame.to_ndarray(
                format='rgb24',
                width=self.width,
                height=self.height,
                threads=1,  # else a pool of them is made for each frame
            )
        except (av.FFmpegError, ValueError, OSError) as error:
            raise BrokenClipError(
                f'{one_line(error)}, from {frame.format.name} to RGB'
            ) from None
        quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise
        if quarter_turns:
            image = np.ascontiguousarray(np.rot90(image, quarter_turns))
        return image

    def close(self):
        """Close the file and let its packets go."""
        self._packets, self._pictures = [], None
        self._decoder = self._stream = None
        self._container.close()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *_):
        self.close()


def one_line(error: Exception) -> str:
    """FFmpeg's reason without the file's name, which the teller adds."""
    reason = getattr(error, 'strerror', None) or str(error)
    return ' '.join(reason.split()) or type(error).__name__
