_base_ = 'vflnet_hmdb51.py'
model = dict(backbone=dict(temporal='causal'))
