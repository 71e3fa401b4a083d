default_scope = 'mmaction'
custom_imports = dict(imports=['dvfl_mmaction'], allow_failed_imports=False)
# Checks the config and the data before anything is built.
runner_type = 'CheckedRunner'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'),
    # The run stops if more than this share of a data set is unreadable.
    broken_clips=dict(type='BrokenClipsHook', max_share=0.2),
    results=dict(type='ResultsHook'),
    # Needed by a teacher with record_to, or of type RecordedTeacher or
    # EMATeacher; compares the names of the classes.
    teacher_recording=dict(type='TeacherRecordingHook'),
)

env_cfg = dict(
    # All batches have one shape. randomness.deterministic=True turns it off.
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
log_level = 'INFO'

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)

load_from = None
resume = False
