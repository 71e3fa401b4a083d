# The teacher of docs/results_real_clips.md: a small Video-FocalNet (2.5 M).
_base_ = 'alone.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='VideoFocalNet',
        arch=dict(embed_dim=32, depths=(1, 1, 2, 1)),
        pretrained=None,
        init_cfg=[],
    ),
    cls_head=dict(in_channels=256, label_smooth_eps=0.0),
)
optim_wrapper = dict(optimizer=dict(lr=6e-4))
epochs = 80
warmup_epochs = 4
