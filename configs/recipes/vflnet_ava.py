# Spatio-temporal action detection on AVA v2.1: Fast R-CNN on person boxes.
# Data, head and schedule are those of MMAction2's SlowOnly. It needs mmcv with
# operators, and mmdet; see docs/detection.md.
#
# The RoI head reads the map of the last stage, whose stride is 32 pixels. For
# a map of stride 16, without the last stage:
#   --cfg-options model.backbone.out_indices="(2,)"
#   model.roi_head.bbox_roi_extractor.featmap_stride=16
#   model.roi_head.bbox_head.in_channels=384
_base_ = (
    'mmaction::detection/slowonly/'
    'slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb.py'
)

custom_imports = dict(imports=['dvfl_mmaction'], allow_failed_imports=False)
runner_type = 'CheckedRunner'

model = dict(
    init_cfg=None,
    backbone=dict(
        _delete_=True,
        type='mmaction.VFLNetNano',
        pretrained=None,  # a checkpoint to start from, as of vflnet_k400.py
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_stride=32),
        bbox_head=dict(in_channels=768),
    ),
)

sampling = dict(type='SampleAVAFrames', clip_len=8, frame_interval=8)
train_pipeline = [
    sampling,
    dict(type='RawFrameDecode'),
    dict(type='RandomRescale', scale_range=(256, 320)),
    dict(type='RandomCrop', size=256),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs'),
]
# The whole picture, since a crop would cut boxes.
val_pipeline = [
    dict(sampling, test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs'),
]
test_pipeline = val_pipeline
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

auto_scale_lr = dict(enable=True)  # of 128 clips
# Not a key of the config: to change it changes nothing.
del sampling
