# PoseC3D: heat maps of 17 joints instead of frames. The maps are 56 pixels
# wide, so the network has three stages.
_base_ = (
    'mmaction::skeleton/posec3d/'
    'slowonly_r50_8xb16-u48-240e_ntu60-xsub-keypoint.py'
)
custom_imports = dict(imports=['dvfl_mmaction'], allow_failed_imports=False)
runner_type = 'CheckedRunner'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VFLNetNano',
        arch=dict(embed_dim=64, depths=(1, 2, 1)),
        out_indices=(2,),
        in_channels=17,
    ),
    cls_head=dict(in_channels=256),
)
# The papers' rate for this total batch: 0.1 * 128 / 512.
optim_wrapper = dict(optimizer=dict(lr=0.025))
