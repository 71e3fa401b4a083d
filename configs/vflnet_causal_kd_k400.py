_base_ = 'vflnet_kd_k400.py'
model = dict(backbone=dict(temporal='causal'))
