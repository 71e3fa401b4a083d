_base_ = 'videofocalnet_tiny_ssv2.py'
model = dict(backbone=dict(arch='small'))
