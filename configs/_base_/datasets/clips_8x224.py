# 8 frames of 224 x 224 a clip; a data set's file adds its lists and folders.
#
# Test on 4 clips x 3 crops, in place of 1 x 1, with
#   --cfg-options test_views=4x3
# A step of a pipeline is set on the command line by its number, counted
# from 0. Take 8 frames at a stride of 4, in place of one in each eighth of
# the video, with (and the same for val_dataloader and test_dataloader)
#   --cfg-options train_dataloader.dataset.pipeline.1.type=SampleFrames
#   train_dataloader.dataset.pipeline.1.frame_interval=4
# Decode with decord with (and the same for the other two)
#   train_dataloader.dataset.pipeline.0.type=DecordInit
#   train_dataloader.dataset.pipeline.2.type=DecordDecode
# The workers draw the colours of a training clip, and the model's data
# preprocessor changes them on the device. To have the workers do it all
# (faster where the device is the CPU, and small beside a step of training)
#   --cfg-options train_dataloader.dataset.pipeline.8.deferred=False
#   train_dataloader.dataset.pipeline.9.deferred=False
clip_len = 8
size = 224
scale = (-1, 256)  # short side

train_pipeline = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=clip_len),
    dict(type='ClipDecode'),
    # What lazy steps note, Fuse does at once, on the frame's own pixels.
    dict(type='Resize', scale=scale, lazy=True),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0), lazy=True),
    dict(type='Resize', scale=(size, size), keep_ratio=False, lazy=True),
    dict(type='Flip', flip_ratio=0.5, lazy=True),
    dict(type='Fuse'),
    dict(
        type='ClipColorJitter',
        prob=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        deferred=True,
    ),
    dict(type='ClipGrayscale', prob=0.2, deferred=True),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('color_changes',)),
]
val_pipeline = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=clip_len, num_clips=1, test_mode=True),
    dict(type='ClipDecode'),
    dict(type='Resize', scale=scale),
    dict(type='CenterCrop', crop_size=size),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

videos = dict(video='videos')  # in the data set's data_root
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='StreamSampler', shuffle=True),
    dataset=dict(
        type='ClipDataset', data_prefix=videos, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='StreamSampler', shuffle=False),
    dataset=dict(
        type='ClipDataset',
        data_prefix=videos,
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(val_dataloader, batch_size=1)  # up to 12 clips a video

val_evaluator = dict(type='ClipMetric')
test_evaluator = dict(type='ClipMetric')
