_base_ = 'vflnet_kd_hmdb51.py'
model = dict(backbone=dict(temporal='causal'))
