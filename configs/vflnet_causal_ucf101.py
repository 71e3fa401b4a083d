_base_ = 'vflnet_ucf101.py'
model = dict(backbone=dict(temporal='causal'))
