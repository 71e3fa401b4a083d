from .checked_runner import CheckedRunner
from .teacher_accuracy_hook import TeacherAccuracyHook

__all__ = ['CheckedRunner', 'TeacherAccuracyHook']
