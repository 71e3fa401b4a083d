_base_ = 'vflnet_ssv2.py'
model = dict(backbone=dict(temporal='causal'))
