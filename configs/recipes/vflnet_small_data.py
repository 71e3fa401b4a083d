# VFL-Net on some hundred clips: AdamW, few epochs, milder crops and colour
# changes, no Mixup or CutMix. The papers' schedule has too few iterations
# there: at 120 clips its warm-up alone takes 300. docs/own_data.md shows how
# to set the lists and the number of classes, and how the values were chosen.
_base_ = '../vflnet_ucf101.py'
epochs = 40
warmup_epochs = 4

model = dict(data_preprocessor=dict(blending=None))
train_pipeline = _base_.train_pipeline
train_pipeline[4].area_range = (0.7, 1.0)
train_pipeline[8].update(brightness=0.2, contrast=0.2)
train_pipeline[9].prob = 0  # grayscale
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=0.05)
)
auto_scale_lr = dict(enable=False)
