"""Every config trains on a miniature of its data set."""

from pathlib import Path

import pytest
from miniature_datasets import MAKERS
from mmaction.registry import RUNNERS
from mmengine.config import Config
from small_recipe import write_clip, write_teacher

from dvfl_mmaction.preparation import prepare

CONFIGS = Path(__file__).parents[2] / 'configs'
MODELS = (
    'videofocalnet_tiny',
    'videofocalnet_small',
    'videofocalnet_base',
    'vflnet',
    'vflnet_kd',
)


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    """The five data sets, prepared from archives of real clips."""
    folder = tmp_path_factory.mktemp('data')

    def write(path):
        # OpenCV chooses the container by the suffix, and writes no WebM.
        clip = Path(path).with_suffix('.mp4')
        write_clip(clip, label=len(clip.name) % 4)
        clip.rename(path)

    for name, make in MAKERS.items():
        options = dict(groups=range(1, 5)) if name == 'ucf50' else {}
        make(folder / name, write, **options)
        prepare(name, folder / name, report=lambda line: None)
    return folder


def small(cfg, root, work_dir):
    """The config with a small model, small clips and its data's folder."""
    cfg.model.backbone.arch = dict(embed_dim=8, depths=(1, 1, 1, 1))
    cfg.model.cls_head.in_channels = 64
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].update(
            batch_size=2, num_workers=0, persistent_workers=False
        )
        cfg[loader].dataset.data_root = str(root)
        for step in cfg[loader].dataset.pipeline:
            if step.type == 'CenterCrop':
                step.crop_size = 32
            elif step.type == 'Resize':
                step.scale = (
                    (32, 32) if step.get('keep_ratio') is False else (-1, 32)
                )
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    cfg.default_hooks.checkpoint.save_best = None
    return cfg


@pytest.mark.parametrize('dataset', MAKERS)
@pytest.mark.parametrize('model', MODELS)
def test_every_config_trains_on_its_data_set(roots, tmp_path, model, dataset):
    root = roots / dataset
    cfg = Config.fromfile(CONFIGS / f'{model}_{dataset}.py')
    cfg = small(cfg, root, tmp_path / f'{model}_{dataset}')
    train = cfg.train_dataloader.dataset
    train.indices = 4  # two iterations of two clips
    cfg.train_cfg.max_epochs = 1
    cfg.val_dataloader.dataset.indices = 2
    if model == 'vflnet_kd':
        teacher = Config.fromfile(CONFIGS / f'vflnet_{dataset}.py').model
        teacher.backbone.arch = cfg.model.backbone.arch
        teacher.cls_head.in_channels = 64
        cfg.model.teacher = write_teacher(
            tmp_path / 'teacher.pth', config=teacher
        )
    runner = RUNNERS.build(cfg)
    runner.train()
    assert runner.iter == 2
    assert runner.train_dataloader.dataset.header['part'] == 'train'
    assert runner.val_dataloader.dataset.header['part'] == 'val'
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and all(0 < loss < 100 for loss in losses)
    accuracy = runner.message_hub.get_scalar('val/acc/top1').current()
    assert accuracy in (0, 0.5, 1)
    assert not (tmp_path / cfg.experiment_name / 'broken_clips.json').exists()
