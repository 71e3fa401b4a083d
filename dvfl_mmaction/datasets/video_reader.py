"""Read frames of a video file, or report why it cannot be read."""

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

# libav's log lines name no file; the errors below carry the reason.
av.logging.set_level(None)


class BrokenClipError(Exception):
    """A clip that cannot be read; the message is the reason, one line."""


class VideoReader:
    """The first video stream of a file.

    A frame's number is its position in display order, from 0. Time stamps
    are ignored, so a variable frame rate changes nothing. Pixels are
    bit-identical to those of decord and of FFmpeg's defaults. A rotation in
    the file's metadata is applied. One thread decodes.

    Pictures that no wanted frame needs are skipped if they can be identified
    with certainty: unreferenced B-pictures, and all pictures between a
    wanted frame and the last key picture before the next one. From
    Motion-JPEG in AVI, only the wanted frames are read.

    Use it as a context manager, which closes the file and frees its memory.

    Args:
        path: A file of any container and codec that FFmpeg reads.

    Attributes:
        num_frames: Number of packets, and of frames that can be read.
        announced_frames: Number in the header, without frames that an MP4
            file's edit list hides and repeats that AVI does not store; 0 if
            unknown. Larger than ``num_frames`` if the end of the file is
            missing.
        avg_fps: Frames per second; 0 if unknown.
        width, height: In pixels, before the rotation.
        codec, pixel_format: FFmpeg's names.

    Raises:
        BrokenClipError: If the file is missing, is not a video, or its
            video stream is empty.
    """

    def __init__(self, path: str | os.PathLike):
        path = os.fspath(path)
        if not os.path.isfile(path):
            raise BrokenClipError('file not found')
        if not os.path.getsize(path):
            raise BrokenClipError('the file is empty')
        try:
            self._container = av.open(path, metadata_errors='ignore')
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(
                f'not a video: {decoder_reason(error)}'
            ) from None
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
            if self._pictures:  # the position may have changed
                self._container.seek(0, stream=self._stream)
            self._packets = list(self._container.demux(self._stream))
        except (av.FFmpegError, OSError) as error:
            raise BrokenClipError(decoder_reason(error)) from None
        # The last packet is empty; it flushes the decoder.
        self.num_frames = sum(packet.size > 0 for packet in self._packets)
        if not self.num_frames:
            raise BrokenClipError('the video stream is empty')

    def _announced(self, stream: av.video.stream.VideoStream) -> int:
        """The number of visible frames according to the header."""
        packets = [packet for packet in self._packets if packet.size > 0]
        family = self._container.format.name
        if not packets:
            return stream.frames  # :func:`index_stills` checked it
        if stream.frames and family.startswith('mov'):
            # The index follows the edit list, but also holds frames that
            # are only decoded because others refer to them.
            unseen = sum(packet.is_discard for packet in packets)
            return len(stream.index_entries) - unseen
        if stream.frames and family == 'avi':
            # Time stamps are positions; repeats leave some of them empty.
            positions = 1 + max(packet.dts or 0 for packet in packets)
            return stream.frames - max(0, positions - len(packets))
        return stream.frames

    def read(self, indices: Iterable[int]) -> list[np.ndarray]:
        """Frames by number, in the given order; repeats are allowed.

        If the decoder returns fewer frames than packets without an error,
        the numbers are scaled to the frames that it returns.

        Args:
            indices: Numbers in [0, ``num_frames``).

        Returns:
            One frame per number, (H, W, 3) uint8 RGB. Repeated frames are
            the same array.

        Raises:
            BrokenClipError: If a frame cannot be decoded that is needed for
                the wanted ones.
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
        """All frames, one at a time, in display order.

        They have the pixel format of the file and are not rotated;
        :meth:`to_rgb` converts and rotates.

        Raises:
            BrokenClipError: At the first frame that cannot be decoded.
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
                f'{decoder_reason(error)} after {count} of '
                f'{self.num_frames} frames'
            ) from None

    def _decode_needed(self, wanted: set[int]) -> dict | None:
        """The wanted frames, by number; None if the order is unexpected.

        Every picture must leave the decoder, in display order.
        """
        if self._pictures is None:
            self._pictures = order_pictures(self._stream, self._packets)
        frames = {}
        try:
            for run in runs_for(self._pictures or (), wanted):
                self._decoder.flush_buffers()
                last = max(p.number for p in run if p.number in wanted)
                expected = iter(sorted(p.number for p in run))
                for frame in self._decode_run(run):
                    if frame.pts != next(expected, None):
                        return None
                    if frame.pts in wanted:
                        frames[frame.pts] = self.to_rgb(frame)
                    if frame.pts == last:
                        break
        except (av.FFmpegError, ValueError, OSError):
            return None  # decoding all frames reports the reason
        return frames if len(frames) == len(wanted) else None

    def _decode_run(self, run: list[Picture]):
        for picture in run:
            packet = picture.packet or read_still(
                self._container, self._stream, picture.number
            )
            yield from self._decoder.decode(packet)
        yield from self._decoder.decode(None)

    def _pick(self, wanted: set[int]) -> tuple[dict[int, np.ndarray], int]:
        """The wanted frames by number, and the number of frames decoded."""
        found, count = {}, 0
        for count, frame in enumerate(self.frames(), 1):
            if count - 1 in wanted:
                found[count - 1] = self.to_rgb(frame)
            if len(found) == len(wanted):
                break
        return found, count

    def to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, rotated; one size throughout the file.

        Raises:
            BrokenClipError: If its pixel format cannot be converted.
        """
        try:
            image = frame.to_ndarray(
                format='rgb24',
                width=self.width,
                height=self.height,
                threads=1,  # otherwise each frame starts a pool
            )
        except (av.FFmpegError, ValueError, OSError) as error:
            raise BrokenClipError(
                f'{decoder_reason(error)}, from {frame.format.name} to RGB'
            ) from None
        quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise
        if quarter_turns:
            image = np.ascontiguousarray(np.rot90(image, quarter_turns))
        return image

    def close(self):
        """Close the file and release its packets."""
        self._packets, self._pictures = [], None
        self._decoder = self._stream = None
        self._container.close()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *_):
        self.close()


def decoder_reason(error: Exception) -> str:
    """FFmpeg's reason in one line, without the name of the file."""
    reason = getattr(error, 'strerror', None) or str(error)
    return ' '.join(reason.split()) or type(error).__name__
