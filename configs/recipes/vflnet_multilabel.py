# Several labels per clip, "path 3 17", and their mean average precision.
# Scores are logits: a softmax would rank a clip by its other labels.
_base_ = '../vflnet_ucf101.py'

num_classes = 20
data_root = 'data/mine'
prepare_command = ''
model = dict(
    cls_head=dict(
        num_classes=num_classes,
        multi_class=True,
        loss_cls=dict(type='BCELossWithLogits'),
        label_smooth_eps=0.0,
        average_clips='score',
    )
)
train_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='train.txt', multi_class=True)
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='val.txt', multi_class=True)
)
test_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='test.txt', multi_class=True)
)
