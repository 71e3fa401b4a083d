# Features of long videos: one CSV file per video, for vflnet_bmn.py.
#   mim test mmaction2 configs/recipes/vflnet_features.py --checkpoint FILE
# A clip of 8 frames covers 64 frames, and the clips follow one another.
_base_ = ['../_base_/default_runtime.py', '../_base_/models/videofocalnet.py']

model = dict(
    backbone=dict(_delete_=True, type='VFLNetNano'),
    # Of each clip the mean over frames, height and width.
    cls_head=dict(_delete_=True, type='FeatureHead', average_clips=None),
    data_preprocessor=dict(blending=None),
    test_cfg=dict(max_testing_views=8),  # clips per pass, for the memory
)

test_pipeline = [
    dict(type='ClipInit'),
    dict(
        type='UntrimmedSampleFrames',
        clip_len=8,
        clip_interval=64,
        frame_interval=8,
    ),
    dict(type='ClipDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='StreamSampler', shuffle=False),
    dataset=dict(
        type='ClipDataset',
        data_root='data/ActivityNet',
        data_prefix=dict(video='videos'),
        ann_file='videos.txt',  # per line a file, and 0 as its label
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_evaluator = dict(
    type='FeatureFiles',
    out_dir='data/ActivityNet/vflnet_features',
    num_rows=100,  # of BMN's temporal_dim
)
test_cfg = dict(type='TestLoop')
