"""Retrieval ranks the other clips by the cosine of their features."""

import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample

from dvfl_mmaction import UserError
from dvfl_mmaction.compat import run_repairs


def evaluate(features, labels, topk, broken=(), size=None):
    metric = METRICS.build(dict(type='ClipRetrieval', topk=topk))
    samples = [ActionDataSample().set_gt_label(label) for label in labels]
    for index in broken:
        samples[index].set_metainfo(dict(broken=(('file', 'reason'),)))
    metric.process(dict(data_samples=samples), torch.tensor(features))
    with run_repairs:
        return metric.evaluate(len(labels) if size is None else size)


def test_recall_is_worked_by_hand():
    # Angles 0, 10, 30, 35 degrees. The nearest others: 1, 0, 3, 2.
    angles = torch.tensor([0.0, 10, 30, 35]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], 1).tolist()
    labels = [0, 0, 1, 0]
    # Clip 2 is the only one of its class, clip 3 meets 2, then 1.
    assert evaluate(features, labels, (1, 2)) == {
        'retrieval/Recall@1': 50.0,
        'retrieval/Recall@2': 75.0,
    }


def test_the_length_of_a_feature_does_not_matter():
    # The long one has the largest product with every other one.
    features = [[1.0, 0], [0.9, 0.1], [50, 50], [0, 1]]
    assert evaluate(features, [0, 0, 1, 1], (1,)) == {
        'retrieval/Recall@1': 75.0
    }


def test_a_broken_clip_is_neither_query_nor_answer():
    features = [[1.0, 0], [1, 0], [1, 0.1], [0, 1]]
    result = evaluate(features, [0, 1, 0, 1], (1,), broken=[1])
    assert result == {'retrieval/Recall@1': pytest.approx(200 / 3, abs=1e-4)}


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_a_clip_without_finite_features_is_neither_found_nor_finds(value):
    features = [[1.0, 0], [1, 0.1], [value, 0], [0, 1], [0.1, 1]]
    result = evaluate(features, [0, 0, 1, 1, 1], (1, 4))
    # Of the class of clip 2 only clips 3 and 4 find one another.
    assert result == {
        'retrieval/Recall@1': pytest.approx(80, abs=1e-4),
        'retrieval/Recall@4': pytest.approx(80, abs=1e-4),
    }
    all_lost = evaluate([[value, 0]] * 3, [0, 0, 0], (1, 2))
    assert set(all_lost.values()) == {0}


def test_a_clip_never_finds_itself_among_those_without_features():
    """It is in the first 2 of 3, where clip 1 cannot be found."""
    features = [[1.0, 0], [torch.nan, 0], [0, 1]]
    result = evaluate(features, [0, 1, 2], (2,))
    assert result == {'retrieval/Recall@2': 0}


def test_a_clip_that_pads_the_last_batch_is_cut_beside_a_broken_one():
    # The first of four clips comes again, as with 5 processes.
    features = [[1.0, 0], [1, 0.2], [0, 1], [0.5, 1], [1, 0]]
    result = evaluate(features, [0, 1, 2, 3, 0], (1,), broken=[1], size=4)
    assert result == {'retrieval/Recall@1': 0.0}


def test_too_few_clips_and_scores_of_views_are_named():
    with pytest.raises(UserError, match='2 clips cannot rank 5'):
        evaluate([[1.0], [1.0]], [0, 0], (5,))
    with pytest.raises(UserError, match='2 clips cannot rank 2'):
        evaluate([[1.0], [1.0]], [0, 0], (1, 2))  # a clip ranks the other
    with pytest.raises(UserError, match='one vector'):
        evaluate([[[1.0]], [[1.0]]], [0, 0], (1,))


def test_several_labels_per_clip_are_named():
    several = torch.tensor([1.0, 0, 1])
    with pytest.raises(UserError, match='needs one label per clip'):
        evaluate([[1.0], [1.0], [1.0]], [several] * 3, (1,))
