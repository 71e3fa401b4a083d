"""Features of videos in files that MMAction2's localizers read."""

import runpy
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from mmaction.registry import METRICS, TRANSFORMS
from mmaction.structures import ActionDataSample

from dvfl_mmaction import UserError
from dvfl_mmaction.evaluation.feature_files import resample

TOOLS = Path(mmaction.__file__).parent / '.mim' / 'tools'


def batch(*names, **meta):
    samples = [
        ActionDataSample(metainfo=dict(filename=name, **meta))
        for name in names
    ]
    return dict(data_samples=samples)


def test_resampling_is_that_of_mmaction2_for_activitynet():
    tool = TOOLS / 'data/activitynet/activitynet_feature_postprocessing.py'
    pool_feature = runpy.run_path(str(tool))['pool_feature']
    features = np.random.default_rng(0).normal(size=(7, 3))
    for rows in (4, 20):
        theirs = pool_feature(features, num_proposals=rows)
        # They keep a distance of 1e-4 clips from both ends.
        np.testing.assert_allclose(resample(features, rows), theirs, atol=1e-3)


def test_features_of_one_clip_fill_every_row():
    assert resample(np.array([[1.0, 2.0]]), 3).tolist() == [[1.0, 2.0]] * 3


def test_a_file_is_what_the_localizers_load(tmp_path):
    metric = METRICS.build(
        dict(type='FeatureFiles', out_dir=tmp_path / 'new', num_rows=None)
    )
    metric.process(batch('x/v_1.mp4'), [torch.tensor([[1.0, 2], [3, 4.5]])])
    path = tmp_path / 'new' / 'v_1.csv'
    assert path.read_text() == 'f0,f1\n1,2\n3,4.5\n'
    load = TRANSFORMS.build(dict(type='LoadLocalizationFeature'))
    loaded = load(dict(feature_path=str(path)))['raw_feature']
    assert loaded.tolist() == [[1.0, 3.0], [2.0, 4.5]]  # (C, rows)
    assert metric.compute_metrics(metric.results) == dict(files=1, broken=0)


def test_a_broken_video_gets_no_file_and_is_counted(tmp_path):
    metric = METRICS.build(dict(type='FeatureFiles', out_dir=tmp_path))
    broken = batch('v_1.mp4', broken=(('v_1.mp4', 'no frames'),))
    metric.process(broken, [torch.ones(2, 4)])
    assert metric.compute_metrics(metric.results) == dict(files=0, broken=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_video_with_features_that_are_not_finite_gets_no_file(
    tmp_path, value
):
    metric = METRICS.build(dict(type='FeatureFiles', out_dir=tmp_path))
    features = [torch.ones(2, 4), torch.ones(2, 4)]
    features[0][1, 2] = value
    metric.process(batch('v_1.mp4', 'v_2.mp4'), features)
    found = metric.compute_metrics(metric.results)
    assert found == dict(files=1, broken=0, not_finite=1)
    assert [path.name for path in tmp_path.iterdir()] == ['v_2.csv']


def test_a_video_without_features_loses_the_file_of_an_earlier_test(tmp_path):
    metric = METRICS.build(dict(type='FeatureFiles', out_dir=tmp_path))
    for name in ('v_1.csv', 'v_2.csv', 'v_3.csv', 'other.csv'):
        (tmp_path / name).write_text('earlier')
    reasons = (('v_1.mp4', 'no frames'),)
    metric.process(batch('v_1.mp4', broken=reasons), [torch.ones(2, 4)])
    features = [torch.full((2, 4), float('nan')), torch.ones(2, 4)]
    metric.process(batch('v_2.mp4', 'v_3.mp4'), features)
    # What cannot be read is only known to be final at the end.
    assert (tmp_path / 'v_1.csv').exists()
    metric.compute_metrics(metric.results)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['other.csv', 'v_3.csv']
    assert (tmp_path / 'v_3.csv').read_text() != 'earlier'


def test_a_broken_video_of_the_same_name_is_rejected_too(tmp_path):
    metric = METRICS.build(dict(type='FeatureFiles', out_dir=tmp_path))
    metric.process(batch('a/v.mp4'), [torch.ones(1, 4)])
    broken = batch('b/v.mp4', broken=(('b/v.mp4', 'no frames'),))
    metric.process(broken, [torch.ones(1, 4)])
    with pytest.raises(UserError, match='b/v.mp4 and a/v.mp4'):
        metric.compute_metrics(metric.results)
    assert (tmp_path / 'v.csv').exists()


@pytest.mark.parametrize(
    ('sample', 'features', 'told'),
    [
        (batch('v.mp4'), torch.ones(1, 4, 2, 2), 'features .1, 4, 2, 2.'),
        (dict(data_samples=[ActionDataSample()]), torch.ones(1, 4), 'name'),
    ],
)
def test_features_that_cannot_be_written_are_named(
    tmp_path, sample, features, told
):
    metric = METRICS.build(dict(type='FeatureFiles', out_dir=tmp_path))
    with pytest.raises(UserError, match=told):
        metric.process(sample, [features])


def test_two_videos_of_one_name_are_rejected(tmp_path):
    metric = METRICS.build(dict(type='FeatureFiles', out_dir=tmp_path))
    features = [torch.ones(1, 4)] * 2
    metric.process(batch('a/v.mp4', 'b/v.mp4'), features)
    with pytest.raises(UserError, match='b/v.mp4 and a/v.mp4'):
        metric.compute_metrics(metric.results)


@pytest.mark.parametrize('num_rows', [0, 2.5, '5', True])
def test_num_rows_that_is_no_count_is_rejected(num_rows):
    with pytest.raises(UserError, match=f'num_rows .* {num_rows!r}'):
        METRICS.build(
            dict(type='FeatureFiles', out_dir='x', num_rows=num_rows)
        )
