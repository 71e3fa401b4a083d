_base_ = ['clips_8x224.py', '../models/videofocalnet.py']

num_classes = 101
model = dict(cls_head=dict(num_classes=num_classes))
split = 1  # 1 to 3, the official splits
data_root = 'data/ucf101'
prepare_command = f'python tools/prepare_dataset.py ucf101 --root {data_root}'

train_set = dict(
    data_root=data_root, ann_file=f'ucf101_train_split_{split}_videos.txt'
)
val_set = dict(
    data_root=data_root, ann_file=f'ucf101_val_split_{split}_videos.txt'
)
train_dataloader = dict(dataset=train_set)
val_dataloader = dict(dataset=val_set)
test_dataloader = dict(dataset=val_set)
# Not keys of the config: a config that inherits this one cannot set them.
del num_classes, split, data_root, train_set, val_set
