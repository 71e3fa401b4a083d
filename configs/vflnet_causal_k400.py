_base_ = 'vflnet_k400.py'
model = dict(backbone=dict(temporal='causal'))
