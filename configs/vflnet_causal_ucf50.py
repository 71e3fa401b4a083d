_base_ = 'vflnet_ucf50.py'
model = dict(backbone=dict(temporal='causal'))
