_base_ = 'clips_8x224.py'

num_classes = 101
split = 1  # of the three official ones
data_root = 'data/ucf101'
prepare_command = f'python tools/prepare_dataset.py ucf101 --root {data_root}'

train_set = dict(
    ann_file=f'{data_root}/ucf101_train_split_{split}_videos.txt',
    data_prefix=dict(video=f'{data_root}/videos'),
)
val_set = dict(
    ann_file=f'{data_root}/ucf101_val_split_{split}_videos.txt',
    data_prefix=dict(video=f'{data_root}/videos'),
)
train_dataloader = dict(dataset=train_set)
val_dataloader = dict(dataset=val_set)
test_dataloader = dict(dataset=val_set)
