# VFL-Net with the teacher of its fold, for docs/results_real_clips.md.
_base_ = 'alone.py'
model = dict(
    type='DistillRecognizer3D',
    teacher=dict(
        config='docs/real_clips/teacher.py',
        checkpoint='',  # tools/ablate.py --teachers sets that of the fold
    ),
    loss_kd=dict(type='KLDivergenceLoss', temperature=4.0),
    alpha=0.7,
)
default_hooks = dict(teacher_accuracy=dict(type='TeacherAccuracyHook'))
