"""Each recipe trains two iterations and tests, tiny and on miniature data."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import RUNNERS
from mmengine.config import Config
from small_recipe import NUM_CLASSES, write_dataset

from dvfl_mmaction.engine.config_checks import nested_datasets

RECIPES = Path(__file__).parents[2] / 'configs' / 'recipes'
# The recipe, and the metric that its test reports.
RECOGNITION = {
    'vflnet_tsn_ucf101': 'acc/top1',
    'vflnet_tsm_head_ucf101': 'acc/top1',
    'vflnet_slowonly_ucf101': 'acc/top1',
    'vflnet_flow_k400': 'acc/top1',
    'vflnet_posec3d_ntu60': 'acc/top1',
    'vflnet_multilabel': 'acc/mean_average_precision',
    'vflnet_two_heads': 'acc/top1',
}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
SIZE = 32


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Clips with one and with two labels, flow images, and skeletons."""
    folder = tmp_path_factory.mktemp('recipes')
    write_dataset(folder, clips_per_class=1)
    lines = (folder / 'list.txt').read_text().splitlines()
    several = [f'{line} {i % 2}' for i, line in enumerate(lines, 1)]
    (folder / 'several.txt').write_text('\n'.join(several) + '\n')
    rng = np.random.default_rng(0)
    rows = []
    for label in range(NUM_CLASSES):
        (folder / f'flow_{label}').mkdir()
        for number in range(1, 13):
            for axis in 'xy':
                image = rng.integers(0, 256, (40, 48), np.uint8)
                name = f'flow_{label}/{axis}_{number:05d}.jpg'
                cv2.imwrite(str(folder / name), image)
        rows.append(f'flow_{label} 12 {label}')
    (folder / 'flow.txt').write_text('\n'.join(rows) + '\n')
    skeletons = [
        dict(
            frame_dir=f'skeleton_{label}',
            label=label,
            img_shape=(40, 48),
            original_shape=(40, 48),
            total_frames=12,
            keypoint=rng.uniform(4, 36, (1, 12, 17, 2)),
            keypoint_score=np.ones((1, 12, 17)),
        )
        for label in range(NUM_CLASSES)
    ]
    names = [skeleton['frame_dir'] for skeleton in skeletons]
    split = dict(xsub_train=names, xsub_val=names)
    with open(folder / 'skeletons.pkl', 'wb') as file:
        pickle.dump(dict(split=split, annotations=skeletons), file)
    return folder


def shrink(cfg, name, data, work_dir):
    """Make a recipe small, and have it read the test's data."""
    cfg.work_dir, cfg.experiment_name = str(work_dir), name
    backbone = cfg.model.backbone
    in_channels = backbone.get('in_channels', 3)
    cfg.model.backbone = dict(
        type='VideoFocalNet',
        arch=dict(embed_dim=4, depths=(1, 1)),
        out_indices=(1,),
        in_channels=in_channels,
    )
    cfg.model.cls_head.in_channels = 8
    if name == 'vflnet_two_heads':
        cfg.model.cls_head.update(image_classes=4, video_classes=4)
    else:
        cfg.model.cls_head.num_classes = NUM_CLASSES
    loaders = [cfg[key] for key in LOADERS]
    loaders += cfg.train_cfg.get('other_loaders', [])
    for loader in loaders:
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.pop('pin_memory', None)
        shrink_dataset(loader.dataset, data)
    if cfg.train_dataloader.dataset.type == 'RepeatDataset':
        cfg.train_dataloader.dataset.times = 1
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.checkpoint = None
    cfg.test_views = '1x1' if cfg.get('test_views') else None
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.visualizer = None
    return cfg


def shrink_dataset(dataset, data):
    for leaf in nested_datasets(dataset):
        kind = leaf.type
        if kind == 'PoseDataset':
            leaf.ann_file = str(data / 'skeletons.pkl')
        elif kind == 'RawframeDataset':
            leaf.ann_file = str(data / 'flow.txt')
            leaf.data_prefix = dict(img=str(data))
        elif kind == 'ClipDataset':
            several = leaf.get('multi_class')
            leaf.ann_file = 'several.txt' if several else 'list.txt'
            leaf.data_root, leaf.data_prefix = str(data), dict(video='')
        for step in leaf.get('pipeline', []):
            if 'scale' in step:
                whole = step.get('keep_ratio') is False
                step.scale = (SIZE, SIZE) if whole else (-1, SIZE + 4)
            if 'crop_size' in step:
                step.crop_size = SIZE
            if step['type'] == 'UniformSampleFrames':
                step.update(clip_len=4, num_clips=1)


@pytest.mark.parametrize('name, metric', RECOGNITION.items())
def test_the_recipe_trains_and_tests(name, metric, data, tmp_path):
    cfg = Config.fromfile(RECIPES / f'{name}.py')
    assert cfg.runner_type == 'CheckedRunner'
    runner = RUNNERS.build(shrink(cfg, name, data, tmp_path))
    stem = runner.model.backbone.patch_embed.proj.weight
    before = stem.detach().clone()
    runner.train()
    assert runner.iter == 2
    assert not torch.equal(stem, before)
    assert 0 <= runner.test()[metric] <= 1
