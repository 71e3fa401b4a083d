_base_ = 'vflnet_kd_ucf50.py'
model = dict(backbone=dict(temporal='causal'))
