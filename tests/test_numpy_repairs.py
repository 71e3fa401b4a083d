"""MMAction2's metrics work on the installed NumPy for the length of a run."""

import numpy as np
import pytest
import torch
from mmaction.evaluation import average_recall_at_avg_proposals
from mmaction.evaluation.functional import multisports_utils
from mmaction.evaluation.metrics import multimodal_metric
from mmaction.registry import METRICS

from dvfl_mmaction.compat import run_repairs
from dvfl_mmaction.numpy_repairs import (
    SUCCESSORS,
    USERS,
    NumpyNames,
    converts_one_element,
    restore_removed_numpy_names,
)


def test_removed_names_are_their_successors_and_the_rest_is_numpy():
    names = NumpyNames('numpy')
    assert names.trapz([1.0, 3.0], [0.0, 2.0]) == 4.0
    assert names.in1d([1, 2], [2]).tolist() == [False, True]
    assert names.Inf == np.inf
    assert names.ndarray is np.ndarray
    with pytest.raises(AttributeError, match='no attribute'):
        _ = names.float128x


def test_every_module_is_as_before_after_the_context():
    modules = [multimodal_metric, multisports_utils]
    before = [dict(vars(module)) for module in modules]
    with restore_removed_numpy_names():
        if not all(hasattr(np, name) for name in SUCCESSORS):
            assert isinstance(multimodal_metric.np, NumpyNames)
    assert [dict(vars(module)) for module in modules] == before
    assert multimodal_metric.np is np
    assert multimodal_metric.__name__ in USERS


def test_retrieval_recall_counts_queries_with_a_target_in_the_first_k():
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.3, 0.8]])
    targets = torch.tensor([[0, 1, 0], [0, 0, 1]])
    metric = METRICS.build(dict(type='RetrievalRecall', topk=(1, 2)))
    with run_repairs:
        recalls = metric.calculate(scores, targets, topk=(1, 2))
    assert [recall.item() for recall in recalls] == [50.0, 100.0]


def test_average_recall_has_the_area_of_the_exact_proposals():
    truth = dict(a=np.array([[0.0, 1.0]]))
    proposals = dict(a=np.array([[0.0, 1.0, 0.9], [5.0, 6.0, 0.1]]))
    with run_repairs:
        recall, _, per_video, area = average_recall_at_avg_proposals(
            truth, proposals, 2, max_avg_proposals=2
        )
    # The first proposal counts from an average of 1 on, where recall is 1.
    assert recall[:, -1].tolist() == [1.0] * 10
    assert per_video[-1] == 2
    assert 50 <= area <= 51


def test_two_tubes_of_boxes_overlap():
    tube = np.array([[0.0, 0, 0, 3, 3], [1.0, 0, 0, 3, 3]])
    later = tube + np.array([1.0, 0, 0, 0, 0])
    with run_repairs:
        assert multisports_utils.iou3dt_voc(tube, tube) == 1.0
        overlap = multisports_utils.iou3dt_voc(tube, later, temporalonly=True)
    assert overlap == 0.0  # they share an instant, which has no length
    if not converts_one_element():
        with pytest.raises(TypeError):
            multisports_utils.iou3dt_voc(tube, tube)
