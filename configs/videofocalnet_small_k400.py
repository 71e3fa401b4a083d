_base_ = 'videofocalnet_tiny_k400.py'
model = dict(backbone=dict(arch='small'))
