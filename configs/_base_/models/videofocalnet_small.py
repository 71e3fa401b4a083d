_base_ = 'videofocalnet_tiny.py'
model = dict(backbone=dict(arch='small'))
