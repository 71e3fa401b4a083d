"""Pipeline steps that open a video and decode its frames."""

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from .video_file import TIMEOUT_S, TimeLimit
from .video_reader import VideoReader


@TRANSFORMS.register_module()
class ClipInit(BaseTransform):
    """Open a video with PyAV, as MMAction2's ``DecordInit`` does with decord.

    Required key: ``filename``. Added keys: ``video_reader``,
    ``total_frames`` and ``avg_fps`` (frames per second, 0 if unknown).
    Input with decoded frames, ``array`` or ``imgs``, (T, H, W, 3), passes;
    its added key is ``total_frames``. MMAction2's demos of streams give it.

    Args:
        timeout_s: A clip that takes longer to open and read, in s, is
            broken. None for no limit.

    Raises:
        UserError: If ``timeout_s`` is no number above 0.
        BrokenClipError: In use, if the file is not a video.
    """

    def __init__(self, timeout_s: float | None = TIMEOUT_S):
        self.timeout_s = TimeLimit(timeout_s).seconds

    def transform(self, results: dict) -> dict:
        frames = results.get('imgs', results.get('array'))
        if frames is not None:
            results['total_frames'] = len(frames)
            return results
        reader = VideoReader(results['filename'], self.timeout_s)
        results['video_reader'] = reader
        results['total_frames'] = reader.num_frames
        results['avg_fps'] = reader.avg_fps
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(timeout_s={self.timeout_s})'


@TRANSFORMS.register_module()
class ClipDecode(BaseTransform):
    """Decode the sampled frames of a video that ``ClipInit`` opened.

    Required keys: ``video_reader`` and ``frame_inds``. Added keys: ``imgs``,
    (H, W, 3) uint8 RGB per frame, ``original_shape`` and ``img_shape``,
    (H, W). Input with ``imgs``, whose frames are decoded, passes.

    Raises:
        BrokenClipError: In use, if a frame up to the last one sampled cannot
            be decoded.
    """

    def transform(self, results: dict) -> dict:
        if 'imgs' in results:
            return results
        # Closed even if it cannot be read: an open file leaks memory.
        with results.pop('video_reader') as reader:
            results['imgs'] = reader.read(results['frame_inds'].ravel())
        results['original_shape'] = results['imgs'][0].shape[:2]
        results['img_shape'] = results['imgs'][0].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
