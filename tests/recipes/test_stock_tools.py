"""MMAction2's own tools take the project's configs and checkpoints."""

import pickle
import runpy
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.utils import GradCAM
from mmengine.config import Config
from project_configs import CONFIGS
from small_recipe import write_dataset
from small_task_recipes import WIDTH

TOOLS = Path(mmaction.__file__).parent / '.mim' / 'tools'


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / 'clips', clips_per_class=1)


@pytest.fixture
def run_tool(tmp_path, data, monkeypatch):
    """A function that runs a tool on a narrow demo model and its config."""
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

    def run(tool, *arguments):
        files = tmp_path / 'config.py', tmp_path / 'model.pth'
        words = [tool, *files, *arguments]
        monkeypatch.setattr('sys.argv', [str(word) for word in words])
        runpy.run_path(str(TOOLS / tool), run_name='__main__')

    return run


def test_clip_feature_extraction_writes_the_features_of_each_clip(
    run_tool, data, tmp_path
):
    run_tool(
        'misc/clip_feature_extraction.py',
        tmp_path / 'out',
        '--video-list',
        data / 'list.txt',
    )
    files = sorted((tmp_path / 'out').glob('*.pkl'))
    assert [file.stem for file in files] == sorted(
        path.name for path in data.glob('*.mp4')
    )
    features = np.stack([pickle.loads(f.read_bytes()) for f in files])
    assert features.shape == (4, WIDTH)
    assert np.abs(np.diff(features, axis=0)).max() > 0


def test_vis_cam_takes_the_backbone_as_its_layer(run_tool, data, monkeypatch):
    """Without an output file, which needs moviepy."""
    made, call = [], GradCAM.__call__
    monkeypatch.setattr(
        GradCAM, '__call__', lambda *args: made.append(call(*args))
    )
    run_tool(
        'visualizations/vis_cam.py',
        data / 'clip_0_0.mp4',
        '--target-layer-name',
        'backbone',
        '--device',
        'cpu',
    )
    pictures, scores = made[0]
    assert pictures.shape == (1, 8, 32, 32, 3)
    assert scores.shape == (1, 12)
