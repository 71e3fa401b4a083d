"""Knowledge distillation: losses, recognizers, teachers, recordings."""

from .binary_divergence import BinaryDivergenceLoss, binary_divergence
from .distill_recognizer import DistillRecognizer2D, DistillRecognizer3D
from .losses import KLDivergenceLoss, kl_divergence
from .recording_loop import RecordingLoop
from .teacher_accuracy_hook import TeacherAccuracyHook
from .teacher_recording_hook import TeacherRecordingHook

__all__ = [
    'BinaryDivergenceLoss',
    'DistillRecognizer2D',
    'DistillRecognizer3D',
    'KLDivergenceLoss',
    'RecordingLoop',
    'TeacherAccuracyHook',
    'TeacherRecordingHook',
    'binary_divergence',
    'kl_divergence',
]
