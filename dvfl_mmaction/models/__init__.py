"""Backbones, and the data preprocessor with blending."""

from .data_preprocessor import ClipDataPreprocessor, MixupOrCutmix
from .every_frame_head import EveryFrameHead
from .video_focalnet import VFLNetNano, VideoFocalNet

__all__ = [
    'ClipDataPreprocessor',
    'EveryFrameHead',
    'MixupOrCutmix',
    'VFLNetNano',
    'VideoFocalNet',
]
