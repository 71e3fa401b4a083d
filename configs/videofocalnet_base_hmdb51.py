_base_ = 'videofocalnet_tiny_hmdb51.py'
model = dict(backbone=dict(arch='base'), cls_head=dict(in_channels=1024))
