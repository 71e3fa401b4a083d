# Narrow and shallow. Without ImageNet's weights to start from, the papers'
# initialisation (standard deviation 0.02) leaves the product of the query and
# the two modulators near 0 at this width, and motion is learned late (twelve
# headings of a disc, 250 steps: 55 % against 98 %), so PyTorch's own is kept.
# Labels are exact: no smoothing, no mixing.
_base_ = 'videofocalnet_tiny.py'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=24, depths=(1, 1, 3, 1)),
        init_cfg=[],
    ),
    cls_head=dict(in_channels=192, label_smooth_eps=0.0),
    data_preprocessor=dict(blending=None),
)
