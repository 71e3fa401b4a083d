_base_ = [
    '_base_/models/vflnet.py',
    '_base_/datasets/ssv2.py',
    '_base_/schedules/sgd_120e.py',
    '_base_/default_runtime.py',
]
model = dict(
    cls_head=dict(num_classes=_base_.num_classes),
    data_preprocessor=dict(blending=dict(num_classes=_base_.num_classes)),
)
