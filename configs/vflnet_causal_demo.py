_base_ = 'vflnet_demo.py'
model = dict(backbone=dict(temporal='causal'))
