from ..distillation.distill_recognizer import (
    DistillRecognizer2D,
    DistillRecognizer3D,
)
from ..distillation.losses import KLDivergenceLoss, kl_divergence
from .video_focalnet import VFLNetNano, VideoFocalNet

__all__ = [
    'DistillRecognizer2D',
    'DistillRecognizer3D',
    'KLDivergenceLoss',
    'VFLNetNano',
    'VideoFocalNet',
    'kl_divergence',
]
