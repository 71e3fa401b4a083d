"""VFL-Net as the backbone of Fast R-CNN on AVA.

Training needs mmcv with operators and mmdet, see docs/detection.md.
"""

import importlib
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS, RUNNERS
from mmengine.config import Config, DictAction
from project_configs import CONFIGS
from small_task_recipes import WIDTH, load_small

from dvfl_mmaction.engine.config_checks import check_keys

SECOND = 902  # of the labelled frame; AVA numbers frames from second 900 on
FPS = 30
SPAN = 8 * 8  # frames of a clip


def load_config():
    return Config.fromfile(CONFIGS / 'recipes' / 'vflnet_ava.py')


def skip_without_operators():
    """Skip the test with what is missing."""
    try:
        importlib.import_module('mmcv._ext')
    except ImportError:
        pytest.skip('mmcv has no compiled operators (mmcv-lite)')
    pytest.importorskip('mmdet')


@pytest.mark.parametrize('stage', [2, 3])
def test_stride_and_width_of_the_head_are_those_of_the_map(stage):
    cfg = load_config()
    if stage == 2:  # the options in the config's comment
        text = (CONFIGS / 'recipes' / 'vflnet_ava.py').read_text()
        words = text.split('--cfg-options ')[1].split('_base_')[0]
        for word in words.replace('#', '').split():
            key, _, value = word.partition('=')
            cfg.merge_from_dict(
                {key: DictAction._parse_iterable(value.strip('"'))}
            )
    with torch.device('meta'):
        model = MODELS.build(cfg.model.backbone)
        features = model(torch.zeros(1, 3, 8, 256, 320))
    head = cfg.model.roi_head
    stride = head.bbox_roi_extractor.featmap_stride
    size = (head.bbox_head.in_channels, 8, 256 // stride, 320 // stride)
    assert tuple(features.shape[1:]) == size


def test_the_schedule_ends_with_the_training_and_keys_are_known():
    cfg = load_config()
    check_keys(cfg)
    assert cfg.param_scheduler[1].end == cfg.train_cfg.max_epochs
    assert cfg.test_dataloader.dataset.pipeline == cfg.test_pipeline


@pytest.fixture
def ava(tmp_path):
    """Frames of two people, their actions, proposals and action names."""
    frames = tmp_path / 'frames' / 'video'
    frames.mkdir(parents=True)
    centre = (SECOND - 900) * FPS + 1
    rng = np.random.default_rng(0)
    for i in range(centre - SPAN // 2, centre + SPAN // 2 + 1):
        frame = rng.integers(0, 255, (40, 64, 3), np.uint8)
        cv2.imwrite(str(frames / f'img_{i:05}.jpg'), frame)
    boxes = [(0.1, 0.1, 0.5, 0.9), (0.5, 0.2, 0.9, 0.9)]
    lines = [
        f'video,{SECOND},{",".join(map(str, box))},{action},{person}'
        for person, (box, action) in enumerate(zip(boxes, (1, 2), strict=True))
    ]
    (tmp_path / 'ann.csv').write_text('\n'.join(lines) + '\n')
    (tmp_path / 'exclude.csv').write_text('other,0903\n')
    (tmp_path / 'labels.pbtxt').write_text(
        ''.join(
            f'label {{\n  name: "action {i}"\n  label_id: {i}\n}}\n'
            for i in (1, 2)
        )
    )
    proposals = {f'video,{SECOND:04}': np.array([(*b, 0.95) for b in boxes])}
    (tmp_path / 'proposals.pkl').write_bytes(pickle.dumps(proposals))
    return tmp_path


def make_small(cfg, ava):
    """The recipe with a narrow network and two actions."""
    cfg.model.roi_head.bbox_head.update(
        in_channels=WIDTH, num_classes=3, topk=1
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.batch_size = 1
        loader.dataset.update(
            ann_file=str(ava / 'ann.csv'),
            exclude_file=str(ava / 'exclude.csv'),
            label_file=str(ava / 'labels.pbtxt'),
            proposal_file=str(ava / 'proposals.pkl'),
            data_prefix=dict(img=str(ava / 'frames')),
            num_classes=3,
        )
    for pipeline in (cfg.train_pipeline, cfg.val_pipeline):
        for step in pipeline:
            step.update(
                {
                    'RandomRescale': dict(scale_range=(64, 72)),
                    'RandomCrop': dict(size=64),
                    'Resize': dict(scale=(-1, 64)),
                }.get(step.type, {})
            )
    cfg.train_dataloader.dataset.pipeline = cfg.train_pipeline
    cfg.val_dataloader.dataset.pipeline = cfg.val_pipeline
    cfg.val_evaluator.update(
        ann_file=str(ava / 'ann.csv'),
        exclude_file=str(ava / 'exclude.csv'),
        label_file=str(ava / 'labels.pbtxt'),
        num_classes=3,
    )
    cfg.test_dataloader, cfg.test_evaluator = (
        cfg.val_dataloader,
        cfg.val_evaluator,
    )
    cfg.train_cfg.update(max_epochs=2, val_begin=2)
    cfg.param_scheduler = []
    return cfg


# MMAction2 averages over kinds of actions that the data set lacks.
@pytest.mark.filterwarnings('ignore:Mean of empty slice')
def test_two_iterations_train_the_backbone_and_a_test_gives_a_map(
    ava, monkeypatch
):
    skip_without_operators()
    monkeypatch.chdir(ava)  # AVAMetric writes its boxes to the folder
    runner = RUNNERS.build(make_small(load_small('vflnet_ava', ava), ava))
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    assert runner.iter == 2
    after = runner.model.state_dict()
    stem = 'backbone.patch_embed.proj.weight'
    assert not torch.equal(after[stem], before[stem])
    assert list(ava.glob('vflnet_ava/best_mAP_overall_epoch_2.pth'))
    metrics = runner.test()
    assert 0 <= metrics['mAP/overall'] <= 1
