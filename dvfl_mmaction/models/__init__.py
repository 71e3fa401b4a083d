from .distill_recognizer import DistillRecognizer2D, DistillRecognizer3D
from .kl_divergence_loss import KLDivergenceLoss, kl_divergence
from .video_focalnet import VFLNetNano, VideoFocalNet

__all__ = [
    'DistillRecognizer2D',
    'DistillRecognizer3D',
    'KLDivergenceLoss',
    'VFLNetNano',
    'VideoFocalNet',
    'kl_divergence',
]
