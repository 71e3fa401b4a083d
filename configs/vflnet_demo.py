_base_ = 'videofocalnet_tiny_demo.py'
model = dict(
    backbone=dict(
        type='VFLNetNano', arch=dict(embed_dim=20, depths=(1, 1, 2, 1))
    ),
    cls_head=dict(in_channels=160),
)
