"""The clips of the lists of a config."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from dvfl_mmaction.analysis.prediction.batches import Prediction
from dvfl_mmaction.deployment import listed_clips
from dvfl_mmaction.deployment.listed_clips import (
    find_listed_clips,
    read_first_views,
)
from dvfl_mmaction.errors import UserError


def test_all_lists_of_a_loader_are_read(tmp_path):
    """A ConcatDataset has several, each with a root of its own."""
    parts = []
    for number, folder in enumerate(('a', 'b')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'val.txt').write_text(f'{folder}.mp4 {number}\n')
        root = str(tmp_path / folder)
        parts.append(dict(data_root=root, ann_file='val.txt'))
    loader = dict(dataset=dict(type='ConcatDataset', datasets=parts))
    found = find_listed_clips(Config(dict(val_dataloader=loader)), 'val')
    assert [(clip.path, clip.label) for clip in found] == [
        (tmp_path / 'a' / 'a.mp4', 0),
        (tmp_path / 'b' / 'b.mp4', 1),
    ]
    with pytest.raises(UserError, match='no val_dataloader with a list'):
        find_listed_clips(Config({}), 'val')


def test_only_the_first_views_of_readable_clips_are_kept(monkeypatch):
    frames = torch.arange(3 * 2 * 4 * 5 * 3, dtype=torch.uint8)
    frames = frames.reshape(3, 2, 4, 5, 3)  # 3 views, as they are decoded
    outcomes = [
        Prediction(0, inputs=frames.permute(0, 4, 1, 2, 3)),
        Prediction(1, error='file not found'),
        Prediction(2, inputs=frames.permute(0, 4, 1, 2, 3).contiguous()),
    ]
    monkeypatch.setattr(
        listed_clips,
        'exported_predictor',
        lambda model: SimpleNamespace(num_classes=2),
    )
    monkeypatch.setattr(
        listed_clips,
        'predict_clips',
        lambda clips, model: (outcome for outcome in outcomes),
    )
    found = list(read_first_views([None] * 3, None))
    assert len(found) == 2
    for clip in found:
        assert (clip == frames[:1].numpy()).all()
        assert not np.shares_memory(clip, frames.numpy())
