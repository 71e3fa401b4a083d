"""Features of long videos, and BMN's proposals from them."""

import json

import numpy as np
import pytest
from mmaction.registry import RUNNERS
from mmengine.config import Config
from project_configs import CONFIGS, build_without_weights
from small_recipe import write_clip
from small_task_recipes import WIDTH, load_small, shrink_test_clips


@pytest.fixture(scope='module')
def long_videos(tmp_path_factory):
    """A folder with two videos of 160 and 96 frames, and their list."""
    folder = tmp_path_factory.mktemp('long_videos')
    for name, label, frames in (('v_a', 0, 160), ('v_b', 1, 96)):
        write_clip(folder / f'{name}.mp4', label, frames)
    (folder / 'videos.txt').write_text('v_a.mp4 0\nv_b.mp4 0\n')
    return folder


@pytest.fixture
def write_features(tmp_path, long_videos):
    """A function that runs the recipe of features on the long videos."""

    def write(out_dir, num_rows=8):
        cfg = load_small('vflnet_features', tmp_path)
        shrink_test_clips(cfg, long_videos, 'videos.txt')
        cfg.test_evaluator.update(out_dir=str(out_dir), num_rows=num_rows)
        runner = RUNNERS.build(cfg)
        runner.model.init_weights()
        return runner, runner.test()

    return write


def test_features_of_each_clip_are_the_pooled_map(tmp_path, write_features):
    runner, metrics = write_features(tmp_path / 'features', num_rows=None)
    assert metrics == {'features/files': 2, 'features/broken': 0}
    rows = np.loadtxt(
        tmp_path / 'features' / 'v_a.csv', delimiter=',', skiprows=1
    )
    assert rows.shape == (2, WIDTH)  # around frames 32 and 96
    sample = runner.test_dataloader.dataset[0]
    clips = runner.model.data_preprocessor(
        dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    )['inputs'][0]
    features = runner.model.backbone(clips).mean(dim=(2, 3, 4))
    np.testing.assert_allclose(rows, features.detach(), atol=1e-5)


def test_a_video_shorter_than_a_clip_has_the_features_of_one(tmp_path):
    videos = tmp_path / 'videos'
    videos.mkdir()
    for name, frames in (('v_a', 32), ('v_b', 1)):
        write_clip(videos / f'{name}.mp4', 0, frames)
    (videos / 'videos.txt').write_text('v_a.mp4 0\nv_b.mp4 0\n')
    cfg = load_small('vflnet_features', tmp_path)
    shrink_test_clips(cfg, videos, 'videos.txt')
    cfg.test_dataloader.num_workers = 1
    out = tmp_path / 'features'
    cfg.test_evaluator.update(out_dir=str(out), num_rows=None)
    runner = RUNNERS.build(cfg)
    assert runner.test() == {'features/files': 2, 'features/broken': 0}
    for name in ('v_a', 'v_b'):
        rows = np.loadtxt(out / f'{name}.csv', delimiter=',', skiprows=1)
        assert rows.shape == (WIDTH,)


def test_the_rows_and_channels_of_the_features_are_those_that_bmn_reads():
    features = Config.fromfile(CONFIGS / 'recipes' / 'vflnet_features.py')
    bmn = Config.fromfile(CONFIGS / 'recipes' / 'vflnet_bmn.py')
    backbone = build_without_weights(features.model).backbone
    assert bmn.model.feat_dim == backbone.norm.normalized_shape[0]
    assert bmn.model.temporal_dim == features.test_evaluator.num_rows
    folder = bmn.train_dataloader.dataset.data_prefix.video
    assert folder == features.test_evaluator.out_dir
    assert bmn.test_dataloader.dataset.data_prefix.video == folder


@pytest.fixture
def bmn(write_features, tmp_path):
    """The small recipe on the features of two videos."""
    write_features(tmp_path / 'features', num_rows=8)
    truth = {
        name: dict(
            duration_second=frames / 25,
            duration_frame=frames,
            feature_frame=frames,
            annotations=[dict(segment=[1.0, 3.0], label='moving')],
            fps=25.0,
            rfps=25.0,
        )
        for name, frames in (('v_a', 160), ('v_b', 96))
    }
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    cfg = load_small('vflnet_bmn', tmp_path)
    cfg.model.update(feat_dim=WIDTH, temporal_dim=8, num_samples=4)
    cfg.train_cfg.max_epochs = 2
    cfg.train_dataloader.batch_size = 2
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.update(
            ann_file=str(tmp_path / 'truth.json'),
            data_prefix=dict(video=str(tmp_path / 'features')),
        )
    for key in ('val_evaluator', 'test_evaluator'):
        cfg[key].dump_config.out = str(tmp_path / 'results.json')
    return cfg


def test_bmn_trains_on_the_features_and_its_recall_is_measured(bmn, tmp_path):
    runner = RUNNERS.build(bmn)
    runner.train()
    assert runner.iter == 2
    metrics = runner.test()
    assert set(metrics) == {'auc', 'AR@1', 'AR@5', 'AR@10', 'AR@100'}
    assert 0 <= metrics['AR@1'] <= metrics['AR@100'] <= 1
    results = json.loads((tmp_path / 'results.json').read_text())['results']
    assert set(results) == {'a', 'b'}
