_base_ = 'videofocalnet_tiny_ucf50.py'
model = dict(backbone=dict(arch='small'))
