# The file of the data set sets cls_head.num_classes. The runner gives the same
# number to the blending. Drop path comes with the arch.
model = dict(
    type='Recognizer3D',
    backbone=dict(type='VideoFocalNet', arch='tiny'),
    cls_head=dict(
        type='I3DHead',
        in_channels=768,
        spatial_type='avg',
        dropout_ratio=0,
        init_std=0.02,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ClipDataPreprocessor',
        # ImageNet's, RGB; the decoders return RGB
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
        blending=dict(type='MixupOrCutmix', mixup_alpha=0.8, cutmix_alpha=1.0),
    ),
)
