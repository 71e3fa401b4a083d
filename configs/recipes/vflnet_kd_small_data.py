_base_ = 'vflnet_small_data.py'
model = dict(
    type='DistillRecognizer3D',
    teacher=dict(
        config='configs/videofocalnet_base_ucf101.py',
        checkpoint='checkpoints/videofocalnet_base_ucf101.pth',
    ),
    loss_kd=dict(type='KLDivergenceLoss', temperature=10.0),
    alpha=0.3,
)
default_hooks = dict(teacher_accuracy=dict(type='TeacherAccuracyHook'))
