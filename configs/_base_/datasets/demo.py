# 8 frames of 32 x 32 per clip, so that two CPU cores train in a minute or two.
# No flip and no random crop, since they change what a clip shows.
_base_ = ['clips_8x224.py', '../models/videofocalnet_demo.py']

num_classes = 12
model = dict(cls_head=dict(num_classes=num_classes))
data_root = 'data/demo'
prepare_command = f'python tools/make_demo_dataset.py {data_root}'
clip_len = 8
size = 32

train_pipeline = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=clip_len),
    dict(type='ClipDecode'),
    dict(type='Resize', scale=(-1, size), interpolation='area'),
    dict(type='CenterCrop', crop_size=size),
    dict(
        type='ClipColorJitter',
        prob=0.8,
        brightness=0.1,
        contrast=0.1,
        saturation=0.2,
        hue=0.05,
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=clip_len, num_clips=1, test_mode=True),
    dict(type='ClipDecode'),
    dict(type='Resize', scale=(-1, size), interpolation='area'),
    dict(type='CenterCrop', crop_size=size),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = val_pipeline

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        data_root=data_root, ann_file='train.txt', pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        data_root=data_root, ann_file='val.txt', pipeline=val_pipeline
    ),
)
test_dataloader = dict(
    batch_size=4,  # videos, up to 12 clips each
    num_workers=2,
    dataset=dict(
        data_root=data_root, ann_file='test.txt', pipeline=test_pipeline
    ),
)
# Not keys of the config: clip_len is an option, and the others change nothing.
del clip_len, size, num_classes, data_root
