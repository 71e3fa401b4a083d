# The streaming student, for docs/results_real_clips.md.
_base_ = 'kd.py'
model = dict(backbone=dict(temporal='causal'))
