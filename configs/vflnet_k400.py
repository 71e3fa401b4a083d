_base_ = 'videofocalnet_tiny_k400.py'
model = dict(
    backbone=dict(_delete_=True, type='VFLNetNano', pretrained='imagenet')
)
