"""Accuracies of predictions of labelled clips."""

import numpy as np
import torch

from dvfl_mmaction.analysis.prediction.clips import Clip
from dvfl_mmaction.analysis.prediction.predictor import Predictor
from dvfl_mmaction.analysis.prediction.report import (
    Result,
    accuracy,
    accuracy_line,
    label_cell,
)
from dvfl_mmaction.analysis.prediction.run import tile_of


def test_a_broken_clip_counts_as_wrong_in_the_accuracy(tmp_path):
    scores = np.array([0.4, 0.3, 0.1, 0.08, 0.07, 0.05], np.float32)
    results = [
        Result(Clip(tmp_path, 'a', 0), scores),
        Result(Clip(tmp_path, 'b', 4), scores),
        Result(Clip(tmp_path, 'c', 5), scores),
        Result(Clip(tmp_path, 'd', 0), error='empty'),
        Result(Clip(tmp_path, 'e'), scores),
    ]
    named = Predictor(None, [], 'RGB', 4, None, {})
    diverged = Result(Clip(tmp_path, 'f', 0), np.full(4, np.nan, np.float32))
    assert accuracy([diverged]) == dict(clips=1, broken=0, top1=0.0, top5=0.0)
    assert label_cell(diverged, named) == '✗ 0'
    tile = tile_of(diverged, torch.zeros(1, 3, 2, 4, 4).byte(), named)
    assert tile.is_right is False
    assert accuracy(results) == dict(clips=4, broken=1, top1=0.25, top5=0.5)
    assert accuracy_line(results) == (
        'top-1 25.0 %, top-5 50.0 % of 4 labelled clips; 1 broken, counted '
        'as wrong'
    )
    assert accuracy(results[4:]) is accuracy_line(results[4:]) is None
