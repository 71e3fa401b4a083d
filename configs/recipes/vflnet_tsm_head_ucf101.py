# The head of TSM: one score per frame, averaged over the 8 frames of a clip.
# The learning rate falls towards the stem (TSM's own constructor takes
# ResNets).
_base_ = 'vflnet_tsn_ucf101.py'

model = dict(cls_head=dict(type='TSMHead', num_segments=8))
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=0.75),
)
