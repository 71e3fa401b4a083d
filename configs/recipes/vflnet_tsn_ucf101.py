# TSN: a 2-D network. One frame per eighth of the video; the features of the
# frames are averaged.
_base_ = '../vflnet_ucf101.py'

model = dict(
    type='Recognizer2D',
    cls_head=dict(type='TSNHead', consensus=dict(type='AvgConsensus', dim=1)),
    data_preprocessor=dict(format_shape='NCHW'),
)

train_pipeline = _base_.train_pipeline
train_pipeline[-2].input_format = 'NCHW'
val_pipeline = _base_.val_pipeline
val_pipeline[-2].input_format = 'NCHW'
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
