_base_ = ['clips_8x224.py', '../models/videofocalnet.py']

num_classes = 50
model = dict(cls_head=dict(num_classes=num_classes))
split = 1  # 1 to 25; each holds out one group
data_root = 'data/ucf50'
prepare_command = f'python tools/prepare_dataset.py ucf50 --root {data_root}'

train_set = dict(
    data_root=data_root, ann_file=f'ucf50_train_split_{split}_videos.txt'
)
val_set = dict(
    data_root=data_root, ann_file=f'ucf50_val_split_{split}_videos.txt'
)
train_dataloader = dict(dataset=train_set)
val_dataloader = dict(dataset=val_set)
test_dataloader = dict(dataset=val_set)
# Not keys of the config: a config that inherits this one cannot set them.
del num_classes, split, data_root, train_set, val_set
