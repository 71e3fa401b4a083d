_base_ = [
    '_base_/models/videofocalnet_tiny_demo.py',
    '_base_/datasets/demo.py',
    '_base_/schedules/demo.py',
    '_base_/default_runtime.py',
]
model = dict(cls_head=dict(num_classes=_base_.num_classes))
