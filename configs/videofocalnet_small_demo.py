_base_ = 'videofocalnet_tiny_demo.py'
model = dict(backbone=dict(arch=dict(depths=(1, 1, 5, 1))))
