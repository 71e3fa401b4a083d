_base_ = 'vflnet_kd_ssv2.py'
model = dict(backbone=dict(temporal='causal'))
