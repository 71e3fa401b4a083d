_base_ = [
    '_base_/datasets/ssv2.py',
    '_base_/schedules/sgd_120e.py',
    '_base_/default_runtime.py',
]
