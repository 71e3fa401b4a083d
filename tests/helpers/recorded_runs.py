"""Distillations with all random draws, and recordings of their teacher."""

from small_recipe import distiller, random_recipe

HOOKS = dict(
    checkpoint=dict(type='CheckpointHook', interval=1),
    teacher_recording=dict(type='TeacherRecordingHook'),
    teacher_accuracy=dict(type='TeacherAccuracyHook'),
)


def distillation(data, work_dir, teacher, **kwargs) -> dict:
    """A runner's config: two epochs of a student with ``teacher``."""
    return random_recipe(
        distiller(teacher), data, work_dir, default_hooks=HOOKS, **kwargs
    )


def recorded(folder, **kwargs) -> dict:
    """The config of a recorded teacher."""
    return dict(type='RecordedTeacher', path=str(folder), **kwargs)


def kd_losses(runner):
    """The distillation loss of each iteration."""
    return runner.message_hub.get_scalar('train/loss_kd').data[0]
