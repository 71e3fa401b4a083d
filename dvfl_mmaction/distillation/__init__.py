"""Knowledge distillation: losses, recognizers, teachers, recordings."""

from .binary_divergence import BinaryDivergenceLoss, binary_divergence
from .correlation_loss import DISTLoss, correlation_distance
from .decoupled_loss import DKDLoss, decoupled_divergence
from .distill_recognizer import DistillRecognizer2D, DistillRecognizer3D
from .losses import (
    KLDivergenceLoss,
    ReverseKLDivergenceLoss,
    StandardizedKLDivergenceLoss,
    SymmetricKLDivergenceLoss,
    kl_divergence,
    reverse_kl_divergence,
    standardized_kl_divergence,
    symmetric_kl_divergence,
)
from .recording_loop import RecordingLoop
from .teacher_accuracy_hook import TeacherAccuracyHook
from .teacher_recording_hook import TeacherRecordingHook
from .transformed_teacher import WTTMLoss, transformed_teacher_divergence

__all__ = [
    'BinaryDivergenceLoss',
    'DISTLoss',
    'DKDLoss',
    'DistillRecognizer2D',
    'DistillRecognizer3D',
    'KLDivergenceLoss',
    'RecordingLoop',
    'ReverseKLDivergenceLoss',
    'StandardizedKLDivergenceLoss',
    'SymmetricKLDivergenceLoss',
    'TeacherAccuracyHook',
    'TeacherRecordingHook',
    'WTTMLoss',
    'binary_divergence',
    'correlation_distance',
    'decoupled_divergence',
    'kl_divergence',
    'reverse_kl_divergence',
    'standardized_kl_divergence',
    'symmetric_kl_divergence',
    'transformed_teacher_divergence',
]
