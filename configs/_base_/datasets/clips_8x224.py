# 8 frames of 224 x 224 per clip. Each data set's file adds lists and folders.
#
# Options by name, in a config or after --cfg-options, change all pipelines:
#   clip_size=112       height and width; the short side follows (128)
#   clip_len=16         frames per clip
#   frame_interval=4    frames at this stride, not one per eighth of the video
#   decoder=decord      or opencv, pyav; ClipInit is the default
#   test_views=4x3      test on 4 clips x 3 crops instead of 1 x 1
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
# Not keys of the config: clip_len is an option, and the others change nothing.
del clip_len, size, scale, videos
