_base_ = 'vflnet_kd_demo.py'
model = dict(backbone=dict(temporal='causal'))
