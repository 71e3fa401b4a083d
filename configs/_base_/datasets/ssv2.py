_base_ = ['clips_8x224.py', '../models/videofocalnet.py']

num_classes = 174
model = dict(cls_head=dict(num_classes=num_classes))
split = 'official'  # its validation part is also the test part
data_root = 'data/ssv2'
prepare_command = f'python tools/prepare_dataset.py ssv2 --root {data_root}'

# No flip: labels name directions ("pushing something from left to right").
train_pipeline = _base_.train_pipeline
train_pipeline[6].flip_ratio = 0

train_set = dict(
    data_root=data_root,
    ann_file=f'ssv2_train_split_{split}_videos.txt',
    pipeline=train_pipeline,
)
val_set = dict(
    data_root=data_root, ann_file=f'ssv2_val_split_{split}_videos.txt'
)
train_dataloader = dict(dataset=train_set)
val_dataloader = dict(dataset=val_set)
test_dataloader = dict(dataset=val_set)
# Not keys of the config: a config that inherits this one cannot set them.
del num_classes, split, data_root, train_set, val_set
