"""The focus ratio, and the object's place in demo clips."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import Compose

from dvfl_mmaction.analysis.modulation import run as modulation_run
from dvfl_mmaction.analysis.modulation.demo_object import (
    find_demo_clip,
    read_masks,
)
from dvfl_mmaction.analysis.modulation.focus import (
    focus_ratio,
    focus_table,
    ratios_of,
    report_focus,
    summarise,
)
from dvfl_mmaction.analysis.modulation.observer import (
    Observer,
    View,
    time_steps,
)
from dvfl_mmaction.analysis.prediction.clips import Clip
from dvfl_mmaction.analysis.prediction.frames import frames_of
from dvfl_mmaction.errors import UserError

PIPELINE = [
    dict(type='ClipInit'),
    dict(type='UniformSample', clip_len=8, num_clips=1, test_mode=True),
    dict(type='ClipDecode'),
    dict(type='Resize', scale=(-1, 64), interpolation='area'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


def test_the_ratio_is_the_share_of_weight_over_the_share_of_area():
    weights = np.array([[[1.0, 3.0], [1.0, 3.0]]])
    mask = np.array([[[0.0, 1.0], [0.0, 1.0]]])
    assert focus_ratio(weights, mask) == (6 / 8) / (2 / 4)
    # A pixel that is half object counts half.
    assert focus_ratio(weights, mask / 2) == (3 / 8) / (1 / 4)
    assert focus_ratio(np.ones_like(weights), mask) == 1
    assert focus_ratio(mask, mask) == 2
    assert focus_ratio(1 - mask, mask) == 0


def test_there_is_no_ratio_without_object_or_weight():
    ones, zeros = np.ones((1, 2, 2)), np.zeros((1, 2, 2))
    assert focus_ratio(ones, zeros) is None
    assert focus_ratio(zeros, ones) is None


def test_frames_are_pooled_not_averaged():
    weights = np.array([[[4.0, 0.0]], [[1.0, 1.0]]])
    mask = np.array([[[1.0, 0.0]], [[0.0, 0.0]]])
    assert focus_ratio(weights, mask) == (4 / 6) / (1 / 4)


def test_a_tubelet_has_the_mask_of_its_middle_frame():
    assert time_steps(8, 8) == list(range(8))
    assert time_steps(8, 4) == [1, 3, 5, 7]
    mask = np.zeros((4, 1, 2))
    mask[1, :, 0] = mask[3, :, 1] = 1
    weights = np.array([[[3.0, 1.0]], [[1.0, 1.0]]])
    maps = {1: dict(space=weights, time=weights, product=0 * weights)}
    view = View('', '', 1, np.zeros((2, 1, 2, 3)), maps)
    found = ratios_of(view, mask)
    assert found[0, 0] == found[0, 1] == (4 / 6) / (1 / 2)
    assert np.isnan(found[0, 2])


def test_the_interval_covers_the_spread_over_clips():
    assert summarise(np.full(5, 1.5)) == dict(mean=1.5, low=1.5, high=1.5)
    few = summarise(np.arange(10.0))
    many = summarise(np.tile(np.arange(10.0), 100))
    assert few['mean'] == many['mean'] == 4.5
    assert few['low'] < many['low'] < 4.5 < many['high'] < few['high']
    # 1.96 standard errors of 10 clips are 1.78.
    assert few['high'] - few['low'] == pytest.approx(2 * 1.78, rel=0.1)


def test_the_report_pairs_trained_and_untrained_clips():
    observers = [
        Observer(name, None, None, [], 'RGB', [3], None, {})
        for name in ('net', 'net, untrained')
    ]
    untrained = np.array([1.0, 2.0, 3.0, np.nan]).reshape(4, 1, 1)
    untrained = untrained.repeat(3, 2)
    report = report_focus(observers, [untrained + 0.5, untrained])
    assert report['clips'] == 3  # of one clip the object is out of view
    first, second = (m['stages']['3']['time'] for m in report['models'])
    assert first['mean'] == 2.5 and second['mean'] == 2
    gain = first['gain']
    assert gain == pytest.approx(dict(mean=0.5, low=0.5, high=0.5))
    assert 'gain' not in second
    line = focus_table(report).splitlines()[2]
    assert line.startswith('| net            | 3     | 2.50 (')


@pytest.mark.parametrize('name', ['oclock_02_00001', 'oclock_03_00002'])
def test_masks_lie_on_the_object_that_the_pipeline_shows(demo, name):
    path = demo / 'videos' / 'val' / f'{name}.mp4'
    masks = read_masks(path, PIPELINE, 'RGB')
    info = dict(filename=str(path), label=-1, modality='RGB', start_index=0)
    frames = frames_of(Compose(PIPELINE)(info)['inputs'])
    assert masks.shape == frames.shape[:3] == (8, 64, 64)
    assert masks.min() == 0 and masks.max() == 1
    # The object is at least 110 grey levels above the background.
    brightest = frames.max(-1).astype(float)
    for frame, mask in zip(brightest, masks, strict=True):
        if (mask > 0.9).sum() > 20:
            assert frame[mask > 0.9].min() > 120
            assert np.percentile(frame[mask == 0], 99) < 100


def test_other_clips_are_refused(demo, tmp_path):
    source = demo / 'videos' / 'val' / 'oclock_02_00001.mp4'
    assert find_demo_clip(source).label == 1
    folder = tmp_path / 'videos' / 'val'
    folder.mkdir(parents=True)
    alone = shutil.copy(source, folder)  # without a manifest
    with pytest.raises(UserError, match='no clip of the demo data'):
        find_demo_clip(type(source)(alone))
    other = dict(settings=dict(seed=3, num_frames=16, version=1))
    (tmp_path / 'manifest.json').write_text(json.dumps(other))
    with pytest.raises(UserError, match='has version 1 but.*--overwrite'):
        find_demo_clip(type(source)(alone))
    for name in ('clip_00001.mp4', 'oclock_01_x.mp4', 'oclock_01.mp4'):
        with pytest.raises(UserError, match='no clip of the demo data'):
            find_demo_clip(source.with_name(name))


@pytest.mark.parametrize('path', ['/a.mp4', '/val/oclock_02_00001.mp4'])
def test_a_clip_near_the_root_of_the_disk_is_refused(path):
    with pytest.raises(UserError, match='no clip of the demo data'):
        find_demo_clip(Path(path))


@pytest.mark.parametrize(
    'text', ['', '[]', '{}', '{"settings": 3}', '{"settings": {}}']
)
def test_a_damaged_manifest_is_one_line(tmp_path, text):
    (tmp_path / 'manifest.json').write_text(text)
    path = tmp_path / 'videos' / 'val' / 'oclock_02_00001.mp4'
    with pytest.raises(UserError, match='manifest.json is damaged') as error:
        find_demo_clip(path)
    assert '\n' not in str(error.value)


def test_models_that_see_the_object_in_no_common_clip_are_refused(
    tmp_path, monkeypatch
):
    observer = SimpleNamespace(untrained=lambda: None)
    ratios = np.ones((1, 3))
    found = [
        ([ratios, ratios, np.nan * ratios, ratios], None),
        ([np.nan * ratios, ratios, ratios, ratios], None),
    ]
    monkeypatch.setattr(
        modulation_run, 'measure_clips', lambda *args: (f for f in found)
    )
    clips = [Clip(Path(name), name) for name in 'ab']
    with pytest.raises(UserError, match='none of 2 clips can be read and has'):
        modulation_run.run_focus([observer] * 2, clips, tmp_path / 'f.json')
