# The data set's file sets cls_head.num_classes; the runner applies it to
# blending, too. The drop-path rate is that of arch. Training starts from
# ImageNet weights, which are downloaded once; from scratch:
#   --cfg-options model.backbone.pretrained=None
model = dict(
    type='Recognizer3D',
    backbone=dict(type='VideoFocalNet', arch='tiny', pretrained='imagenet'),
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
        # Of ImageNet, RGB; the decoders return RGB.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
        blending=dict(type='MixupOrCutmix', mixup_alpha=0.8, cutmix_alpha=1.0),
    ),
)
