_base_ = [
    '_base_/datasets/hmdb51.py',
    '_base_/schedules/sgd_120e.py',
    '_base_/default_runtime.py',
]
