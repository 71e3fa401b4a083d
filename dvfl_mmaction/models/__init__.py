"""Backbones, and the data preprocessor with blending."""

from .data_preprocessor import ClipDataPreprocessor, MixupOrCutmix
from .video_focalnet import VFLNetNano, VideoFocalNet

__all__ = [
    'ClipDataPreprocessor',
    'MixupOrCutmix',
    'VFLNetNano',
    'VideoFocalNet',
]
