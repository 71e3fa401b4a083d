"""The divergence of students with several labels per clip, by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmaction.models.losses import BCELossWithLogits, CrossEntropyLoss
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from small_recipe import distiller

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import (
    BinaryDivergenceLoss,
    KLDivergenceLoss,
    binary_divergence,
)
from dvfl_mmaction.distillation.binary_divergence import (
    binary_agreement,
    binary_entropy,
    class_probabilities,
)
from dvfl_mmaction.distillation.recorded_teacher import require_temperature


def logit(p):
    return math.log(p / (1 - p))


def test_a_value_by_hand():
    teacher = torch.tensor([[logit(0.8), logit(0.5)]], dtype=torch.float64)
    student = torch.tensor([[logit(0.5), logit(0.5)]], dtype=torch.float64)
    # 0.8 log(0.8 / 0.5) + 0.2 log(0.2 / 0.5), and nothing for class 2
    assert binary_divergence(student, teacher, 1.0).item() == pytest.approx(
        0.192745, abs=1e-6
    )
    # The softened predictions are the same, and the loss is tau^2 times it.
    assert binary_divergence(
        5 * student, 5 * teacher, 5.0
    ).item() == pytest.approx(25 * 0.192745, abs=1e-4)


@pytest.mark.parametrize('temperature', [1.0, 10.0])
def test_it_and_its_gradient_vanish_at_the_teacher(temperature):
    torch.manual_seed(0)
    teacher = 20 * torch.randn(3, 5)
    student = teacher.clone().requires_grad_()
    loss = binary_divergence(student, teacher, temperature)
    loss.backward()
    assert loss == 0
    assert student.grad.abs().max() < 1e-6


def test_its_gradient_is_tau_times_the_difference_over_the_batch():
    torch.manual_seed(0)
    teacher = torch.randn(4, 5, dtype=torch.float64)
    student = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    binary_divergence(student, teacher, 2.0).backward()
    wanted = 2.0 * ((student / 2).sigmoid() - (teacher / 2).sigmoid()) / 4
    torch.testing.assert_close(student.grad, wanted.detach())


def test_it_is_finite_and_float32_for_large_logits_of_half_precision():
    teacher = torch.tensor([[1000.0, -1000.0]]).half()
    loss = binary_divergence(-teacher, teacher, 1.0)
    assert loss.dtype == torch.float32 and loss.item() == 2000


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match=r'are \(2, 3\) but .* \(2, 4\)'):
        binary_divergence(torch.zeros(2, 3), torch.zeros(2, 4), 1.0)


def test_entropy_of_a_fair_coin_and_equal_decisions():
    assert binary_entropy(torch.zeros(2, 3)).item() == pytest.approx(
        math.log(2)
    )
    assert binary_entropy(torch.full((2, 3), 200.0)) == 0
    log = binary_agreement(
        torch.tensor([[1.0, -1.0, 2.0, -3.0]]),
        torch.tensor([[1.0, 1.0, 2.0, -9.0]]),
    )
    assert log['teacher_agreement'] == 0.75
    unsure, certain = torch.zeros(2, 3), torch.full((2, 3), 200.0)
    log = binary_agreement(certain, unsure)
    assert log['teacher_entropy'].item() == pytest.approx(math.log(2))
    assert log['student_entropy'] == 0 and log['teacher_agreement'] == 0


def test_probabilities_are_sigmoids_for_several_labels_else_a_softmax():
    logits = torch.randn(2, 3)
    bce, ce = BCELossWithLogits(), CrossEntropyLoss()
    for head in (
        SimpleNamespace(multi_class=True, loss_cls=ce),
        SimpleNamespace(multi_class=False, loss_cls=bce),
    ):
        assert torch.equal(class_probabilities(head, logits), logits.sigmoid())
    for head in (SimpleNamespace(loss_cls=ce), SimpleNamespace()):
        found = class_probabilities(head, logits)
        assert torch.equal(found, logits.softmax(-1))


@pytest.mark.parametrize(
    'head',
    [dict(multi_class=True), dict(loss_cls=dict(type='BCELossWithLogits'))],
)
def test_it_is_the_default_for_several_labels_per_clip(teacher, build, head):
    config = distiller(teacher)
    config['cls_head'] = config['cls_head'] | head
    student = build(config)
    assert isinstance(student.loss_kd, BinaryDivergenceLoss)
    assert student.loss_kd.temperature == 10
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    samples = [
        ActionDataSample().set_gt_label(torch.tensor(labels))
        for labels in ([1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    ]
    losses = student(clips, samples, mode='loss')
    own = student(clips, stage='head')
    expected = binary_divergence(own, student.teacher.predict(clips), 10.0)
    torch.testing.assert_close(losses['loss_kd'], 0.3 * expected)
    assert losses['student_entropy'] <= math.log(2)


@pytest.mark.parametrize('several', [False, True])
def test_a_loss_without_a_type_has_the_default_type(teacher, several):
    config = distiller(teacher, loss_kd=dict(temperature=5.0))
    config['cls_head'] = config['cls_head'] | dict(multi_class=several)
    loss = MODELS.build(config).loss_kd
    assert isinstance(loss, BinaryDivergenceLoss) == several
    assert isinstance(loss, KLDivergenceLoss)
    assert loss.temperature == 5


def test_a_softmax_over_several_labels_is_warned_about(teacher, log):
    config = distiller(teacher, loss_kd=dict(type='KLDivergenceLoss'))
    MODELS.build(config)
    assert 'BinaryDivergenceLoss' not in log.text
    config['cls_head'] = config['cls_head'] | dict(multi_class=True)
    MODELS.build(config)
    assert "set loss_kd.type='BinaryDivergenceLoss'" in log.text


def test_its_teacher_is_not_recorded_by_the_largest_logits():
    with pytest.raises(UserError, match='record_top_k keeps the softmax'):
        require_temperature(BinaryDivergenceLoss())
