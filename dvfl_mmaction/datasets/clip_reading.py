"""Steps of a pipeline that open a video, decode it, and cut its frames."""

import av
import cv2
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.image.geometric import cv2_interp_codes
from mmcv.transforms import BaseTransform

from .video_reader import VideoReader
from .yuv_crops import can_crop, crop_rgb


@TRANSFORMS.register_module()
class ClipInit(BaseTransform):
    """Open a video with PyAV, as MMAction2's ``DecordInit`` does with decord.

    Required key: ``filename``. Added keys: ``video_reader``,
    ``total_frames`` and ``avg_fps`` (frames per second, 0 if unknown).

    Raises:
        BrokenClipError: In use, if the file is no video.
    """

    def transform(self, results: dict) -> dict:
        reader = VideoReader(results['filename'])
        results['video_reader'] = reader
        results['total_frames'] = reader.num_frames
        results['avg_fps'] = reader.avg_fps
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class ClipDecode(BaseTransform):
    """Decode the sampled frames of a video that ``ClipInit`` opened.

    Required keys: ``video_reader`` and ``frame_inds``. Added keys: ``imgs``,
    (H, W, 3) uint8 RGB a frame, ``original_shape`` and ``img_shape``,
    (H, W).

    Raises:
        BrokenClipError: In use, if a frame up to the last one sampled cannot
            be decoded.
    """

    def transform(self, results: dict) -> dict:
        # Closed whether or not it can be read: a file left open leaks.
        with results.pop('video_reader') as reader:
            results['imgs'] = reader.read(
                results['frame_inds'].ravel(), self._convert(reader)
            )
        shape = frame_shape(results['imgs'][0])
        results['original_shape'] = results['img_shape'] = shape
        return results

    def _convert(self, reader: VideoReader):
        return reader.to_rgb

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class ClipDecodeYUV(ClipDecode):
    """``ClipDecode`` that leaves the frames as the decoder gives them.

    To be followed by MMAction2's transforms with ``lazy=True``, and by
    ``ClipFuse``, which makes RGB of what is left of a frame. A frame that
    has to be turned, is of another size than the first or in an unusual
    format is RGB at once.
    """

    def _convert(self, reader: VideoReader):
        size = reader.width, reader.height

        def convert(frame):
            plain = (frame.width, frame.height) == size and not frame.rotation
            plain = plain and can_crop(frame)
            return frame if plain else reader.to_rgb(frame)

        return convert


@TRANSFORMS.register_module()
class ClipFuse(BaseTransform):
    """Make the crop, the resizing and the flip that lazy transforms noted.

    In place of MMAction2's ``Fuse``. It takes the frames of
    ``ClipDecodeYUV``, cuts before it converts, and scales once, from the
    frame's own pixels to the last size asked for. So a clip is what
    ``Resize``, ``RandomResizedCrop``, ``Resize`` and ``Flip`` give for the
    same draws, but for interpolating once in place of twice, and for edges
    of the crop on the frame's (even) pixels. RGB frames are taken, too.

    Required keys: ``imgs``, ``img_shape`` and ``lazy``. Modified key:
    ``imgs``, an array (T, H, W, 3) uint8 RGB. Deleted key: ``lazy``.
    """

    def transform(self, results: dict) -> dict:
        lazy = results.pop('lazy')
        height, width = results['img_shape']
        interpolation = cv2_interp_codes[lazy['interpolation'] or 'bilinear']
        frames = results['imgs']
        clip = np.empty((len(frames), height, width, 3), np.uint8)
        for frame, out in zip(frames, clip, strict=True):
            cut = crop_rgb if isinstance(frame, av.VideoFrame) else crop_array
            box = lazy['crop_bbox']
            cut(frame, box, (width, height), interpolation, out)
            if lazy['flip']:
                code = 1 if lazy['flip_direction'] == 'horizontal' else 0
                cv2.flip(out, code, dst=out)
        results['imgs'] = clip
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def frame_shape(frame: av.VideoFrame | np.ndarray) -> tuple[int, int]:
    """(H, W)."""
    if isinstance(frame, av.VideoFrame):
        return frame.height, frame.width
    return frame.shape[:2]


def crop_array(frame: np.ndarray, box, size, interpolation: int, out):
    """:func:`crop_rgb` of a frame that is RGB already."""
    left, top, right, bottom = np.rint(box).astype(int)
    part = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    cv2.resize(part, size, dst=out, interpolation=interpolation)
