# Temporal action proposals on ActivityNet: BMN on the features of VFL-Net.
# Annotations, pipelines and schedule are those of MMAction2's BMN.
# configs/recipes/vflnet_features.py writes the features.
_base_ = (
    'mmaction::localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py'
)

custom_imports = dict(imports=['dvfl_mmaction'], allow_failed_imports=False)
runner_type = 'CheckedRunner'

model = dict(feat_dim=768)

features = dict(video='data/ActivityNet/vflnet_features')
train_dataloader = dict(dataset=dict(data_prefix=features))
val_dataloader = dict(dataset=dict(data_prefix=features))
test_dataloader = dict(dataset=dict(data_prefix=features))

work_dir = 'work_dirs/vflnet_bmn'
test_evaluator = dict(dump_config=dict(out=f'{work_dir}/results.json'))
val_evaluator = test_evaluator
# Not a key of the config: to change it changes nothing.
del features
