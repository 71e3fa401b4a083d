"""MMAction2's clip_feature_extraction takes the project's configs."""

import pickle
import runpy
from pathlib import Path

import mmaction
import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from project_configs import CONFIGS
from small_recipe import write_dataset
from small_task_recipes import WIDTH

TOOL = Path(mmaction.__file__).parent / '.mim/tools/misc'


def test_the_stock_tool_writes_the_pooled_features_of_each_clip(
    tmp_path, monkeypatch
):
    data = write_dataset(tmp_path / 'clips', clips_per_class=1)
    cfg = Config.fromfile(CONFIGS / 'vflnet_demo.py')
    cfg.model.backbone.arch = dict(embed_dim=8, depths=(1, 1, 1, 1))
    cfg.model.cls_head.in_channels = WIDTH
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.update(
        data_root='', data_prefix=dict(video=str(data))
    )
    cfg.dump(str(tmp_path / 'config.py'))
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    words = [tmp_path / 'config.py', tmp_path / 'model.pth', tmp_path / 'out']
    options = ['--video-list', data / 'list.txt']
    monkeypatch.setattr('sys.argv', ['tool', *map(str, words + options)])
    runpy.run_path(
        str(TOOL / 'clip_feature_extraction.py'), run_name='__main__'
    )
    files = sorted((tmp_path / 'out').glob('*.pkl'))
    assert [file.stem for file in files] == sorted(
        path.name for path in data.glob('*.mp4')
    )
    features = np.stack([pickle.loads(f.read_bytes()) for f in files])
    assert features.shape == (4, WIDTH)
    assert np.abs(np.diff(features, axis=0)).min() > 0
