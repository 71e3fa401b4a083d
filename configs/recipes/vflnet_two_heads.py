# One backbone with two heads, trained together: clips of UCF101, and single
# frames of HMDB51 (MMAction2's OmniHead). Tested on clips.
_base_ = '../vflnet_ucf101.py'

model = dict(
    _delete_=True,
    type='RecognizerOmni',
    backbone=dict(type='VFLNetNano'),
    cls_head=dict(
        type='OmniHead',
        image_classes=51,
        video_classes=101,
        in_channels=768,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='MIX2d3d',
    ),
)

# The workers apply the colour changes.
train_pipeline = [dict(s) for s in _base_.train_pipeline]
train_pipeline[8]['deferred'] = train_pipeline[9]['deferred'] = False
frame_pipeline = [dict(s) for s in train_pipeline]
frame_pipeline[1]['clip_len'] = 1
frame_pipeline[-2].update(input_format='NCHW', collapse=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
frame_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='StreamSampler', shuffle=True),
    dataset=dict(
        type='ClipDataset',
        data_root='data/hmdb51',
        data_prefix=dict(video='videos'),
        ann_file='hmdb51_train_split_1_videos.txt',
        pipeline=frame_pipeline,
    ),
)
train_cfg = dict(
    _delete_=True,
    type='MultiLoaderEpochBasedTrainLoop',
    other_loaders=[frame_dataloader],
    max_epochs=120,
)
# Not keys of the config: to change one of them changes nothing.
del frame_pipeline, frame_dataloader
