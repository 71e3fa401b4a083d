_base_ = 'vflnet_kd_ucf101.py'
model = dict(backbone=dict(temporal='causal'))
