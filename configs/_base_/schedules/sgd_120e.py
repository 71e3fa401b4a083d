# lr applies to a total batch of 512 clips. auto_scale_lr multiplies every lr
# of the schedule by (GPUs x batch_size) / 512. The options epochs and
# warmup_epochs change the schedule, such as --cfg-options epochs=30: the
# warm-up is then 5 epochs long.
max_epochs = 120
warmup_epochs = 20
final_ratio = 0.01  # lr at the start and at the end, relative to the peak

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedOptimWrapperConstructor',
    optimizer=dict(
        type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
    ),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5),
)
auto_scale_lr = dict(enable=True, base_batch_size=512)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=final_ratio,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=final_ratio,
        by_epoch=True,
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(
    type='StreamTrainLoop',
    max_epochs=max_epochs,
    val_begin=1,
    val_interval=1,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# Not keys of the config: epochs and warmup_epochs are options.
del max_epochs, warmup_epochs, final_ratio
