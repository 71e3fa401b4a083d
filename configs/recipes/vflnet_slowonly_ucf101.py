# Dense sampling, as in SlowOnly 8x8: 8 frames at a stride of 8; tested on 10
# clips x 3 crops.
_base_ = '../vflnet_ucf101.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='SampleFrames', clip_len=8, frame_interval=8)
val_pipeline = _base_.val_pipeline
val_pipeline[1] = dict(train_pipeline[1], test_mode=True)
test_pipeline = val_pipeline
test_views = '10x3'
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
