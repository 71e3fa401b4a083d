from .broken_clips_hook import BrokenClipsHook
from .checked_runner import CheckedRunner
from .stream_train_loop import StreamTrainLoop
from .teacher_accuracy_hook import TeacherAccuracyHook

__all__ = [
    'BrokenClipsHook',
    'CheckedRunner',
    'StreamTrainLoop',
    'TeacherAccuracyHook',
]
