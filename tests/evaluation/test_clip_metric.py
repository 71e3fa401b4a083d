"""Accuracy, confusion and calibration equal hand-computed numbers."""

import numpy as np
import pytest
import torch
from mmaction.registry import METRICS

from dvfl_mmaction.errors import UserError
from dvfl_mmaction.evaluation.classification import (
    are_numbers,
    best_class,
    calibration,
    rank_of_label,
)
from dvfl_mmaction.evaluation.clip_metric import hardest_pairs, ranks_by_frame


def evaluate(scores, labels, broken=(), batch_size=4, **kwargs):
    """Metrics and report of a table of scores."""
    metric = METRICS.build(dict(type='ClipMetric', **kwargs))
    samples = [
        dict(
            pred_score=torch.tensor(row, dtype=torch.float32),
            gt_label=torch.tensor([label]),
            filename=f'{i}.mp4',
            **({'broken': ((f'{i}.mp4', 'empty'),)} if i in broken else {}),
        )
        for i, (row, label) in enumerate(zip(scores, labels, strict=True))
    ]
    for start in range(0, len(samples), batch_size):
        metric.process(None, samples[start : start + batch_size])
    return metric.evaluate(len(samples)), metric.report


HAND = [
    [0.7, 0.2, 0.1],  # 0, right
    [0.3, 0.6, 0.1],  # 0, predicted 1
    [0.1, 0.8, 0.1],  # 1, right
    [0.2, 0.3, 0.5],  # 1, predicted 2
    [0.4, 0.5, 0.1],  # 1, right
    [0.1, 0.1, 0.8],  # 2, right
]
LABELS = [0, 0, 1, 1, 1, 2]


def test_numbers_equal_those_computed_by_hand():
    metrics, report = evaluate(HAND, LABELS, top_k=(1, 2), num_bins=2)
    assert metrics['acc/top1'] == pytest.approx(4 / 6)
    assert metrics['acc/top2'] == pytest.approx(6 / 6)
    assert metrics['acc/mean1'] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert report['confusion_matrix'] == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]
    assert [c['top1'] for c in report['per_class']] == [
        pytest.approx(x) for x in (1 / 2, 2 / 3, 1)
    ]
    assert [c['clips'] for c in report['per_class']] == [2, 3, 1]
    assert report['correct'] == dict(top1=4, top2=6)
    # Lower bin: confidences 0.5 and 0.5, one of two right. Upper bin: 0.7,
    # 0.6, 0.8 and 0.8, mean 0.725, three of four right.
    lower, upper = report['calibration']['bins']
    assert (lower['upper'], upper['upper']) == (0.5, 1.0)
    assert (lower['clips'], lower['accuracy']) == (2, 0.5)
    assert upper['confidence'] == pytest.approx(0.725)
    assert metrics['acc/ece'] == pytest.approx(4 / 6 * 0.025, abs=1e-7)


def test_the_most_confused_pair_comes_first():
    _, report = evaluate(HAND, LABELS)
    assert report['hardest_pairs'] == [
        dict(label=0, predicted=1, clips=1, share=0.5),
        dict(label=1, predicted=2, clips=1, share=pytest.approx(1 / 3)),
    ]
    # By share, then by clips.
    counts = np.array([[6, 4, 0], [1, 1, 0], [0, 2, 2]])
    pairs = [(p['label'], p['predicted']) for p in hardest_pairs(counts)]
    assert pairs == [(2, 1), (1, 0), (0, 1)]
    many = np.full((20, 20), 1) + np.diag(np.full(20, 9))
    assert len(hardest_pairs(many)) == 10


def test_a_broken_clip_is_wrong_whatever_the_scores():
    metrics, report = evaluate(HAND, LABELS, broken={0, 3}, top_k=(1, 5))
    assert metrics['acc/top1'] == pytest.approx(3 / 6)
    assert metrics['acc/top5'] == pytest.approx(4 / 6)
    assert report['clips'] == 6
    assert report['broken'] == [
        dict(clip='0.mp4', reason='empty'),
        dict(clip='3.mp4', reason='empty'),
    ]
    assert report['confusion_matrix'] == [[0, 1, 0], [0, 2, 0], [0, 0, 1]]
    assert report['per_class'][0] == dict(label=0, clips=2, top1=0)
    assert sum(b['clips'] for b in report['calibration']['bins']) == 4


@pytest.mark.parametrize('batch_size', [1, 7, 200])
def test_accuracy_equals_mmaction2s(batch_size):
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(12), 200)
    labels = rng.integers(0, 12, 200)
    ours, _ = evaluate(scores.tolist(), labels, batch_size=batch_size)
    metric = METRICS.build(dict(type='AccMetric'))
    for row, label in zip(scores, labels, strict=True):
        metric.process(
            None,
            [
                dict(
                    pred_score=torch.tensor(row, dtype=torch.float32),
                    gt_label=torch.tensor([label]),
                )
            ],
        )
    theirs = metric.evaluate(200)
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=1e-12)


def test_a_class_without_clips_does_not_count_in_the_mean():
    metrics, report = evaluate(HAND[:2], [0, 0])
    assert metrics['acc/mean1'] == 0.5
    assert report['per_class'][1] == dict(label=1, clips=0, top1=None)


def test_a_model_with_constant_scores_is_never_right():
    metrics, _ = evaluate([[0.25] * 4] * 4, range(4), top_k=(1, 3, 4))
    assert metrics['acc/top1'] == metrics['acc/top3'] == 0
    assert metrics['acc/top4'] == 1
    nan = np.array([[np.nan, 0.1, 0.2]])
    assert rank_of_label(nan, np.array([0])) == 2


def test_a_clip_with_nan_scores_is_wrong_in_every_top_k():
    """Also where k is not below the number of classes."""
    scores = [[np.nan] * 4, [0.7, 0.1, 0.1, 0.1]]
    metrics, report = evaluate(scores, [0, 0], top_k=(1, 4, 5))
    assert [metrics[f'acc/top{k}'] for k in (1, 4, 5)] == [0.5] * 3
    assert report['confusion_matrix'][0] == [1, 0, 0, 0]
    assert 'acc/ece' not in metrics and report['calibration'] is None


def test_scores_that_are_not_probabilities_have_no_calibration():
    metrics, report = evaluate([[3.0, -1.0], [0.0, 2.0]], [0, 1])
    assert 'acc/ece' not in metrics and report['calibration'] is None
    assert calibration(np.zeros((0, 3)), np.zeros(0), 15) is None


@pytest.mark.parametrize('row', [[1.5, -0.5], [0.9, 0.8], [0.2, 0.3]])
def test_what_is_negative_or_does_not_sum_to_1_is_no_probability(row):
    """Logits, and sigmoids of several classes."""
    assert calibration(np.array([row]), np.array([0]), 15) is None


def test_a_confidence_that_rounding_lifts_above_1_is_in_the_last_bin():
    found = calibration(np.array([[1 + 1e-6, 0.0]]), np.array([0]), 15)
    assert [b['clips'] for b in found['bins']] == [0] * 14 + [1]
    assert found['ece'] == pytest.approx(0, abs=1e-5)


def test_a_frame_with_nan_scores_is_never_right():
    scores = torch.tensor([[0.2, 0.8], [0.2, np.nan], [0.9, 0.1]])
    assert ranks_by_frame(scores, 1).tolist() == [0, 2, 1]
    assert ranks_by_frame(scores[1:2, 1:], 0).tolist() == [1]  # one class


def test_only_nan_is_no_number():
    scores = np.array([[np.inf, 0, 1], [0, -np.inf, 0], [5, np.nan, 1]])
    assert are_numbers(scores).tolist() == [True, True, False]
    assert [best_class(row) for row in scores] == [0, 0, -1]


def test_calibration_error_is_0_if_confident_and_right_1_if_wrong():
    metrics, _ = evaluate(np.eye(5).tolist(), range(5))
    assert metrics['acc/ece'] == 0
    metrics, _ = evaluate(np.eye(5).tolist(), [1, 2, 3, 4, 0])
    assert metrics['acc/ece'] == 1


@pytest.mark.parametrize(
    'wrong',
    [
        *(dict(top_k=k) for k in ((), 0, (0,), (1, 2.5), True, '15', None)),
        dict(top_k=5.0),
        *(dict(num_bins=n) for n in (0, 1.5, None)),
    ],
)
def test_an_argument_out_of_range_is_reported(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        METRICS.build(dict(type='ClipMetric', **wrong))


def test_one_k_needs_no_list():
    """As of ``--cfg-options test_evaluator.top_k=3``."""
    metrics, _ = evaluate(HAND, LABELS, top_k=2)
    assert metrics['acc/top2'] == 1 and 'acc/top1' not in metrics


def test_a_model_without_scores_is_reported():
    metric = METRICS.build(dict(type='ClipMetric'))
    with pytest.raises(UserError, match='no scores'):
        metric.process(None, [dict(gt_label=torch.tensor([0]))])


SEVERAL = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
SCORES = [
    [0.9, 0.2, 0.1, 0.5],
    [0.8, 0.7, 0.2, 0.5],
    [0.7, 0.4, 0.3, 0.5],
    [0.1, 0.1, 0.4, 0.5],
]


def test_several_labels_have_mean_average_precision():
    metrics, report = evaluate_several()
    # Class 0: ranks 1 and 3; class 1: ranks 1 and 3; class 2: rank 1.
    wanted = [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2, 1, None]
    assert [c['average_precision'] for c in report['per_class']] == [
        value and pytest.approx(value) for value in wanted
    ]
    assert [c['clips'] for c in report['per_class']] == [2, 2, 1, 0]
    assert report['clips'] == 4 and report['broken'] == []
    assert metrics == {
        'acc/mean_average_precision': pytest.approx(sum(wanted[:3]) / 3)
    }


def test_mean_average_precision_equals_mmaction2s():
    rng = np.random.default_rng(0)
    scores = rng.random((50, 6)).round(1)  # with equal ones
    labels = (rng.random((50, 6)) < 0.3).astype(int)
    metrics, _ = evaluate_several(scores, labels)
    metric = METRICS.build(
        dict(type='AccMetric', metric_list='mean_average_precision')
    )
    metric.process(None, several(scores, labels))
    assert metrics == metric.evaluate(50)


def test_a_broken_clip_with_several_labels_ranks_last():
    metrics, report = evaluate_several(broken={0})
    # Class 0: ranks 2 of 3 and 4; class 1: 1 and 4; class 2 as before.
    values = [c['average_precision'] for c in report['per_class'][:3]]
    assert values == [pytest.approx(v) for v in (0.5, 0.75, 1)]
    assert report['broken'] == [dict(clip='0.mp4', reason='empty')]


def test_a_broken_clip_ranks_behind_the_lowest_score_not_beside_it():
    labels = [[0, 1], [1, 0]]
    _, report = evaluate_several([[0.5, 0.5]] * 2, labels, broken={0})
    values = [c['average_precision'] for c in report['per_class']]
    assert values == [1, 0.5]


@pytest.mark.parametrize('broken', [set(), {3}])
def test_a_clip_with_nan_scores_and_several_labels_ranks_last(broken):
    scores = np.array(SCORES)
    scores[0, 1] = np.nan
    metrics, _ = evaluate_several(scores, broken=broken)
    wanted, _ = evaluate_several(broken=broken | {0})
    assert metrics == wanted
    scores[:] = np.nan  # as constant scores: the share of the clips
    _, report = evaluate_several(scores)
    values = [c['average_precision'] for c in report['per_class']]
    assert values == [0.5, 0.5, 0.25, None]


def several(scores=SCORES, labels=SEVERAL, broken=()):
    return [
        dict(
            pred_score=torch.tensor(row, dtype=torch.float32),
            gt_label=torch.tensor(label, dtype=torch.float32),
            filename=f'{i}.mp4',
            **({'broken': ((f'{i}.mp4', 'empty'),)} if i in broken else {}),
        )
        for i, (row, label) in enumerate(
            zip(np.array(scores), np.array(labels), strict=True)
        )
    ]


def evaluate_several(*args, **kwargs):
    metric = METRICS.build(dict(type='ClipMetric'))
    samples = several(*args, **kwargs)
    metric.process(None, samples)
    return metric.evaluate(len(samples)), metric.report


def test_scores_of_several_views_are_reported():
    metric = METRICS.build(dict(type='ClipMetric'))
    sample = dict(gt_label=torch.tensor([1]))
    with pytest.raises(UserError, match=r'shape \(6, 4\).*set average_clips'):
        metric.process(None, [sample | dict(pred_score=torch.rand(6, 4))])
    metric.process(None, [sample | dict(pred_score=torch.eye(4)[1:2])])
    assert metric.evaluate(1)['acc/top1'] == 1
