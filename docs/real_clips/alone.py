# VFL-Net from labels alone, for docs/results_real_clips.md; the others derive
# from it. tools/ablate.py sets the lists of each fold, and the epochs.
_base_ = '../../configs/recipes/vflnet_small_data.py'
model = dict(backbone=dict(pretrained=None), cls_head=dict(num_classes=10))
clip_size = 64  # pixels
clip_len = 4
epochs = 40
warmup_epochs = 2
root = 'data/letters'
# Without workers the random numbers have one order on every machine.
train_dataloader = dict(
    num_workers=0,
    dataset=dict(data_root=root, ann_file='folds/all/train_1.txt'),
)
val_dataloader = dict(
    num_workers=0, dataset=dict(data_root=root, ann_file='folds/test_1.txt')
)
test_dataloader = dict(
    num_workers=0, dataset=dict(data_root=root, ann_file='folds/test_1.txt')
)
train_cfg = dict(val_interval=1000)  # only the last checkpoint is tested
default_hooks = dict(checkpoint=dict(interval=40))
prepare_command = ''
