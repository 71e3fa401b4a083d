# Retrieval of clips of UCF101 by VFL-Net's pooled features; testing only.
#   mim test mmaction2 configs/recipes/vflnet_retrieval_ucf101.py \
#       --checkpoint FILE
_base_ = '../vflnet_ucf101.py'

model = dict(
    # Of each clip the mean over frames, height and width.
    cls_head=dict(_delete_=True, type='FeatureHead', average_clips='score'),
    data_preprocessor=dict(blending=None),
)
test_evaluator = dict(
    _delete_=True, type='ClipRetrieval', topk=(1, 5, 10, 20, 50)
)
