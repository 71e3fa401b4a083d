_base_ = 'videofocalnet_tiny_hmdb51.py'
model = dict(
    backbone=dict(_delete_=True, type='VFLNetNano', pretrained='imagenet')
)
