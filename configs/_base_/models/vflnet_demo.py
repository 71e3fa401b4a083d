_base_ = 'videofocalnet_tiny_demo.py'
model = dict(backbone=dict(type='VFLNetNano', arch=dict(depths=(1, 1, 2, 1))))
