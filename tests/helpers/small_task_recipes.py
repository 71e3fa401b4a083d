"""The recipes of other tasks with a narrow network."""

from pathlib import Path

from mmengine.config import Config
from project_configs import CONFIGS, LOADERS

WIDTH = 64  # channels of the last stage


def load_small(name: str, folder: Path) -> Config:
    """Load ``configs/recipes/NAME.py``; its logs go to ``folder``."""
    cfg = Config.fromfile(CONFIGS / 'recipes' / f'{name}.py')
    cfg.work_dir = str(folder / name)
    cfg.experiment_name = f'{folder.name}_{name}'
    if 'backbone' in cfg.model:
        cfg.model.backbone.arch = dict(embed_dim=8, depths=(1, 1, 1, 1))
    for key in LOADERS:
        if cfg.get(key):
            cfg[key].update(num_workers=0, persistent_workers=False)
    return cfg


def shrink_test_clips(cfg: Config, data: Path, ann_file: str):
    """Test on clips of 32 x 32 pixels of another data set."""
    dataset = cfg.test_dataloader.dataset
    dataset.update(
        data_root=str(data), data_prefix=dict(video=''), ann_file=ann_file
    )
    for step in dataset.pipeline:
        step.update(
            dict(
                Resize=dict(scale=(-1, 32)), CenterCrop=dict(crop_size=32)
            ).get(step.type, {})
        )
