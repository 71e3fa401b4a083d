# The temporal stream of a two-stream network: stacks of 5 flow fields, which
# are 10 channels, from each eighth of the video. The data are MMAction2's:
# images x_00001.jpg, y_00001.jpg per field. The spatial stream is
# vflnet_tsn_ucf101.py on frames of the same videos.
_base_ = (
    'mmaction::recognition/slowonly/'
    'slowonly_r50_8xb16-16x4x1-256e_kinetics400-flow.py'
)
custom_imports = dict(imports=['dvfl_mmaction'], allow_failed_imports=False)
runner_type = 'CheckedRunner'

fields = 5
model = dict(
    type='Recognizer2D',
    backbone=dict(_delete_=True, type='VFLNetNano', in_channels=2 * fields),
    cls_head=dict(
        _delete_=True,
        type='TSNHead',
        num_classes=400,
        in_channels=768,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        mean=[128] * 2 * fields, std=[128] * 2 * fields, format_shape='NCHW'
    ),
)

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
sampling = dict(clip_len=fields, frame_interval=1, num_clips=8)
train_pipeline[0].update(sampling)
train_pipeline[-2].input_format = 'NCHW'
val_pipeline[0].update(sampling)
val_pipeline[-2].input_format = 'NCHW'
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

# The papers' rate for this total batch: 0.1 * 128 / 512.
optim_wrapper = dict(optimizer=dict(lr=0.025))
# Not keys of the config: to change one of them changes nothing.
del fields, sampling
