from .broken_clips_hook import BrokenClipsHook
from .checked_runner import CheckedRunner
from ..distillation.recording_loop import RecordingLoop
from .stream_train_loop import StreamTrainLoop
from ..distillation.teacher_accuracy_hook import TeacherAccuracyHook
from ..distillation.teacher_recording_hook import TeacherRecordingHook

__all__ = [
    'BrokenClipsHook',
    'CheckedRunner',
    'RecordingLoop',
    'StreamTrainLoop',
    'TeacherAccuracyHook',
    'TeacherRecordingHook',
]
