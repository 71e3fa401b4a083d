"""The divergence against hand-worked numbers and its properties."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import (
    KLDivergenceLoss,
    kl_divergence,
    reverse_kl_divergence,
    standardized_kl_divergence,
    symmetric_kl_divergence,
)
from dvfl_mmaction.distillation.losses import unit_deviations


def test_a_hand_worked_divergence():
    # teacher (3/4, 1/4), student (1/2, 1/2):
    # 3/4 log(3/2) + 1/4 log(1/2) = 0.1308...
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl_divergence(student, teacher, 1.0).item() == pytest.approx(
        expected, abs=1e-12
    )


def test_temperature_softens_and_its_square_scales():
    # at tau 2 the logits (2 log 3, 0) are those of the case above
    teacher = torch.tensor([[2 * math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert kl_divergence(student, teacher, 2.0).item() == pytest.approx(
        expected, abs=1e-12
    )


def test_the_batch_is_averaged_and_the_classes_summed():
    teacher = torch.randn(3, 5, dtype=torch.float64)
    student = torch.randn(3, 5, dtype=torch.float64)
    rows = [
        kl_divergence(student[i : i + 1], teacher[i : i + 1], 4.0)
        for i in range(3)
    ]
    torch.testing.assert_close(
        kl_divergence(student, teacher, 4.0), sum(rows) / 3
    )


def test_the_divergence_is_forward_kl_not_reverse():
    teacher = torch.tensor([[4.0, 0.0]])
    student = torch.tensor([[0.0, 0.0]])
    forward = kl_divergence(student, teacher, 1.0)
    reverse = kl_divergence(teacher, student, 1.0)
    assert forward.item() == pytest.approx(0.6029, abs=1e-3)
    assert reverse.item() == pytest.approx(1.3251, abs=1e-3)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 5.0, 10.0, 15.0])
def test_value_and_gradient_vanish_at_the_teacher(temperature):
    teacher = 3 * torch.randn(4, 101, dtype=torch.float64)
    student = (teacher + 7).requires_grad_()  # a constant changes nothing
    loss = kl_divergence(student, teacher, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


def test_gradient_is_tau_times_the_difference_of_the_predictions():
    teacher = torch.randn(4, 7, dtype=torch.float64)
    student = torch.randn(4, 7, dtype=torch.float64, requires_grad=True)
    kl_divergence(student, teacher, 10.0).backward()
    q, p = (student / 10).softmax(-1), (teacher / 10).softmax(-1)
    torch.testing.assert_close(student.grad, 10 * (q - p).detach() / 4)


def test_agrees_with_torch_on_probabilities():
    student, teacher = torch.randn(8, 51), torch.randn(8, 51)
    expected = 25 * F.kl_div(
        F.log_softmax(student / 5, -1),
        F.softmax(teacher / 5, -1),
        reduction='batchmean',
    )
    torch.testing.assert_close(kl_divergence(student, teacher, 5.0), expected)


def test_the_teacher_gets_no_gradient():
    teacher = torch.randn(2, 3, requires_grad=True)
    student = torch.randn(2, 3, requires_grad=True)
    kl_divergence(student, teacher, 2.0).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_logits_are_compared_in_float32_under_autocast(dtype):
    # Large enough for a divergence of about 1: near 0 the logarithms cancel,
    # and only the rounding of float32 would remain.
    student = (10 * torch.randn(8, 101)).to(dtype)
    teacher = (10 * torch.randn(8, 101)).to(dtype)
    expected = kl_divergence(student.double(), teacher.double(), 10.0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = kl_divergence(student, teacher, 10.0)
    assert loss.dtype == torch.float32
    assert torch.equal(
        loss, kl_divergence(student.float(), teacher.float(), 10.0)
    )
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-7)


def test_large_logits_stay_finite():
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    teacher = torch.tensor([[-1e4, 1e4]])
    loss = kl_divergence(student, teacher, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert torch.isfinite(student.grad).all()


def test_the_registered_loss_multiplies_by_its_weight():
    loss = MODELS.build(
        dict(type='KLDivergenceLoss', temperature=5.0, loss_weight=0.5)
    )
    student, teacher = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(
        loss(student, teacher), 0.5 * kl_divergence(student, teacher, 5.0)
    )


@pytest.mark.parametrize('temperature', [0, -1.0, math.nan, math.inf])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(UserError, match='temperature is .* above 0'):
        KLDivergenceLoss(temperature)


@pytest.mark.parametrize('weight', [-1, math.nan, math.inf])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(UserError, match=f'loss_weight is {weight}; give'):
        KLDivergenceLoss(loss_weight=weight)


def test_other_classes_are_refused():
    with pytest.raises(UserError, match=r'\(2, 3\).*\(2, 4\)'):
        kl_divergence(torch.zeros(2, 3), torch.zeros(2, 4), 1.0)


def test_the_reverse_and_the_mean_of_both_directions():
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    reverse = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    found = reverse_kl_divergence(student, teacher, 1.0)
    assert found.item() == pytest.approx(reverse, abs=1e-12)
    forward = kl_divergence(student, teacher, 1.0)
    torch.testing.assert_close(
        symmetric_kl_divergence(student, teacher, 1.0), (forward + found) / 2
    )
    softened = reverse_kl_divergence(student, 2 * teacher, 2.0)
    torch.testing.assert_close(softened, 4 * found)


def test_standardised_logits_have_mean_0_and_variance_1():
    # (1, 3) and (9, 4) become (-1, 1) and (1, -1); at tau 2 the divergence of
    # softmax(1/2, -1/2) from softmax(-1/2, 1/2) is tanh(1/2), times tau^2.
    student = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    teacher = torch.tensor([[9.0, 4.0]], dtype=torch.float64)
    found = standardized_kl_divergence(student, teacher, 2.0)
    assert found.item() == pytest.approx(4 * math.tanh(0.5), abs=1e-12)


def test_standardised_logits_leave_the_students_scale_free():
    student, teacher = torch.randn(2, 4, 7, dtype=torch.float64)
    torch.testing.assert_close(
        standardized_kl_divergence(5 * student + 2, teacher, 2.0),
        standardized_kl_divergence(student, teacher, 2.0),
    )
    same = standardized_kl_divergence(0.1 * teacher - 3, teacher, 2.0)
    assert same.item() == pytest.approx(0, abs=1e-12)
    flipped = standardized_kl_divergence(-teacher, teacher, 2.0)
    assert flipped > 0.1


@pytest.mark.parametrize('scale', [1e-22, 1e-12, 1.0, 1e12, 1e22])
def test_deviations_have_norm_1_beyond_the_rounding_of_float32(scale):
    steps = torch.tensor([1.0, 2.0, 4.0])
    for values in (steps, 1 + 1e-4 * steps):
        found = unit_deviations(scale * values)
        assert found.norm().item() == pytest.approx(1, abs=1e-3)
    # Neighbours in float32: their difference is the rounding's.
    row = torch.full((3,), 1000 * scale)
    row[1] = torch.nextafter(row[1], torch.tensor(torch.inf))
    assert row[1] > row[0]
    row.requires_grad_()
    found = unit_deviations(row)
    (found * steps).sum().backward()
    assert not found.any() and not row.grad.any()


def test_deviations_of_values_too_small_to_divide_by_are_0():
    values = torch.tensor([1e-31, 1e-44, 0.0], requires_grad=True)
    found = unit_deviations(values)
    (found * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert not found.any() and not values.grad.any()


def test_scaling_against_underflow_changes_no_digit():
    torch.manual_seed(0)
    values = torch.randn(64, 10).softmax(-1)
    deviations = values - values.mean(-1, keepdim=True)
    norm = torch.linalg.vector_norm(deviations, dim=-1, keepdim=True)
    assert torch.equal(unit_deviations(values), deviations / norm)
