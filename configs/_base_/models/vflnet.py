_base_ = 'videofocalnet_tiny.py'
model = dict(backbone=dict(_delete_=True, type='VFLNetNano'))
