"""A small recipe and its clips, for tests that train."""

import socket
from pathlib import Path

import cv2
import numpy as np
import torch
from mmaction.registry import MODELS, RUNNERS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from warm_process import run_in_parallel

NUM_CLASSES = 4
RANDOM_PIPELINE = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=4),
    dict(type='ClipDecode'),
    dict(type='Resize', scale=(40, 40), keep_ratio=False),
    dict(type='RandomCrop', size=32),
    dict(type='ClipColorJitter'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


def write_clip(path: Path, label: int, frames=16, height=48, width=64):
    """Write an MPEG-4 file of a bar moving in one of four directions."""
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, (width, height)
    )
    assert writer.isOpened()
    rng = np.random.default_rng(abs(hash(path.stem)) % 2**32)
    colour = rng.integers(120, 255, 3).tolist()
    for t in range(frames):
        frame = np.full((height, width, 3), 40, np.uint8)
        at = 4 + 2 * (t if label % 2 == 0 else frames - 1 - t)
        if label < 2:
            cv2.rectangle(frame, (at, 0), (at + 8, height), colour, -1)
        else:
            cv2.rectangle(frame, (0, at), (width, at + 8), colour, -1)
        writer.write(frame)
    writer.release()


def write_dataset(folder: Path, clips_per_class=3) -> Path:
    """Write clips and their annotation file, ``list.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(clips_per_class):
        for label in range(NUM_CLASSES):
            name = f'clip_{label}_{i}.mp4'
            write_clip(folder / name, label)
            lines.append(f'{name} {label}')
    (folder / 'list.txt').write_text('\n'.join(lines) + '\n')
    return folder


def recognizer(width=8, num_classes=NUM_CLASSES, **kwargs) -> dict:
    """A two-stage Video-FocalNet as a recognizer's config."""
    return dict(
        type='Recognizer3D',
        backbone=dict(
            type='VideoFocalNet',
            arch=dict(embed_dim=width, depths=(1, 1)),
            out_indices=(1,),
        ),
        cls_head=dict(
            type='I3DHead',
            in_channels=2 * width,
            num_classes=num_classes,
            dropout_ratio=0,
            average_clips='prob',
        ),
        data_preprocessor=dict(
            type='ActionDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            format_shape='NCTHW',
        ),
        **kwargs,
    )


def write_teacher(path: Path, seed=7, config=None, **kwargs) -> dict:
    """Write a teacher's weights, and return the config of the teacher."""
    config = config or recognizer(width=12, **kwargs)
    init_default_scope('mmaction')
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS.build(config)
        model.init_weights()
        model.cls_head.fc_cls.weight.data.mul_(100)  # far from uniform
    torch.save(dict(state_dict=model.state_dict()), path)
    return dict(config=config, checkpoint=str(path))


def distiller(teacher: dict, **kwargs) -> dict:
    """The config of a distilling student."""
    return dict(recognizer(), type='DistillRecognizer3D', teacher=teacher) | (
        kwargs
    )


def pipeline() -> list:
    """A pipeline without random draws."""
    return [
        dict(type='ClipInit'),
        dict(type='UniformSample', clip_len=4, test_mode=True),
        dict(type='ClipDecode'),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]


def loader(data: Path, batch_size=4) -> dict:
    return dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='StreamSampler', shuffle=False),
        dataset=dict(
            type='ClipDataset',
            ann_file='list.txt',
            data_root=str(data),
            data_prefix=dict(video=''),
            pipeline=pipeline(),
        ),
    )


def recipe(model: dict, data: Path, work_dir: Path, **kwargs) -> dict:
    """A runner's config that trains ``model`` for two epochs."""
    config = dict(
        runner_type='CheckedRunner',
        default_scope='mmaction',
        model=model,
        work_dir=str(work_dir),
        train_dataloader=loader(data),
        val_dataloader=loader(data),
        test_dataloader=loader(data),
        train_cfg=dict(type='StreamTrainLoop', max_epochs=2),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        val_evaluator=dict(type='ClipMetric'),
        test_evaluator=dict(type='ClipMetric'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        randomness=dict(seed=0),
        log_level='INFO',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        experiment_name=f'{work_dir.name}',
    )
    return config | kwargs


def random_recipe(model: dict, data: Path, work_dir: Path, **kwargs) -> dict:
    """A recipe with all random draws: crops, colours, order, blending and
    drop path."""
    model['backbone']['drop_path_rate'] = 0.3
    model['data_preprocessor']['blending'] = dict(
        type='MixupOrCutmix', num_classes=NUM_CLASSES
    )
    config = recipe(model, data, work_dir, **kwargs)
    config['train_dataloader']['sampler']['shuffle'] = True
    config['train_dataloader']['dataset']['pipeline'] = RANDOM_PIPELINE
    return config


def run(config: dict, mode='train'):
    """Train or test, and return the runner."""
    runner = RUNNERS.build(config)
    getattr(runner, mode)()
    return runner


def run_in_processes(
    config: dict,
    folder: Path,
    mode='train',
    imports=(),
    device='cpu',
    num_processes=2,
):
    """Train or test in several processes; ``folder`` gets the config."""
    config = dict(
        config,
        launcher='pytorch',
        custom_imports=dict(
            imports=['dvfl_mmaction', *imports], allow_failed_imports=False
        ),
    )
    if device == 'cpu':
        config['custom_imports']['imports'].append('dvfl_mmaction.cpu')
        config['model_wrapper_cfg'] = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=False,
        )
    path = str(folder / 'distributed.py')
    Config(config).dump(path)
    done = run_in_parallel(
        run_from_file,
        [(path, mode)] * num_processes,
        envs=torchrun_variables(num_processes),
    )
    for process in done:
        assert process.returncode == 0, process.stderr[-3000:]


def torchrun_variables(num_processes: int) -> list[dict]:
    """What torchrun sets in the environment of each of its processes."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        shared = dict(
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(server.getsockname()[1]),
            WORLD_SIZE=str(num_processes),
            OMP_NUM_THREADS='1',
        )
    return [
        dict(shared, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(num_processes)
    ]


def run_from_file(path: str, mode: str):
    run(Config.fromfile(path), mode)
