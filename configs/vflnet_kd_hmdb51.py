_base_ = 'vflnet_hmdb51.py'
model = dict(
    type='DistillRecognizer3D',
    teacher=dict(
        config='configs/videofocalnet_base_hmdb51.py',
        checkpoint='checkpoints/videofocalnet_base_hmdb51.pth',
    ),
    loss_kd=dict(type='KLDivergenceLoss', temperature=10.0),
    alpha=0.3,
)
default_hooks = dict(teacher_accuracy=dict(type='TeacherAccuracyHook'))
