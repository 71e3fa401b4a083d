_base_ = 'videofocalnet_tiny_ucf101.py'
model = dict(backbone=dict(arch='small'))
