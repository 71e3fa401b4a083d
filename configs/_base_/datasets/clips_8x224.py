# 8 frames of 224 x 224 per clip. Each data set's file adds lists and folders.
#
# Test on 4 clips x 3 crops instead of 1 x 1:
#   --cfg-options test_views=4x3
# On the command line a pipeline step is addressed by its index, from 0.
# Sample 8 frames at a stride of 4 instead of one frame per eighth of the
# video (repeat for val_dataloader and test_dataloader):
#   --cfg-options train_dataloader.dataset.pipeline.1.type=SampleFrames
#   train_dataloader.dataset.pipeline.1.frame_interval=4
# Decode with decord (repeat for the other two):
#   train_dataloader.dataset.pipeline.0.type=DecordInit
#   train_dataloader.dataset.pipeline.2.type=DecordDecode
# The workers draw the colour changes of a training clip, and the model's data
# preprocessor applies them on the device. To apply them in the workers
# (faster if the device is the CPU, but little compared to a training step):
#   --cfg-options train_dataloader.dataset.pipeline.8.deferred=False
#   train_dataloader.dataset.pipeline.9.deferred=False
clip_len = 8
size = 224
scale = (-1, 256)  # short side

train_pipeline = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=clip_len),
    dict(type='ClipDecode'),
    # Lazy steps are recorded; Fuse applies them together, to the source frame.
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
# MMAction2's inference tools read this; test_dataloader uses the same steps.
test_pipeline = val_pipeline

videos = dict(video='videos')  # relative to the data set's data_root
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
test_dataloader = dict(
    val_dataloader,
    batch_size=1,  # videos, up to 12 clips each
    dataset=dict(val_dataloader['dataset'], pipeline=test_pipeline),
)

val_evaluator = dict(type='ClipMetric')
test_evaluator = dict(type='ClipMetric')
