"""What holds for every distillation loss of logits."""

import math

import pytest
import torch
from mmaction.registry import MODELS

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import (
    BinaryDivergenceLoss,
    DISTLoss,
    DKDLoss,
    KLDivergenceLoss,
    ReverseKLDivergenceLoss,
    StandardizedKLDivergenceLoss,
    SymmetricKLDivergenceLoss,
    WTTMLoss,
)

LOSSES = (
    KLDivergenceLoss,
    ReverseKLDivergenceLoss,
    SymmetricKLDivergenceLoss,
    StandardizedKLDivergenceLoss,
    DISTLoss,
    WTTMLoss,
    DKDLoss,
)
every_loss = pytest.mark.parametrize('cls', LOSSES)


def logits(seed=0, scale=1.0, size=(5, 6)):
    """Student, teacher and labels, two of them blended and one absent."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        scale * torch.randn(size, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    targets = torch.eye(size[1], dtype=torch.float64)[: size[0]]
    targets[0] = 0.3 * targets[0] + 0.7 * targets[1]
    targets[-1] = 0.0
    targets[-2] *= 0.6
    return student, teacher, targets


def value(loss, student, teacher, targets):
    kwargs = dict(targets=targets) if loss.needs_targets else {}
    return loss(student, teacher, **kwargs)


@pytest.mark.parametrize('cls', [*LOSSES, BinaryDivergenceLoss])
def test_the_gradient_is_the_numerical_one(cls):
    student, teacher, targets = logits()
    loss = cls()
    assert torch.autograd.gradcheck(
        lambda s: value(loss, s, teacher, targets), student.requires_grad_()
    )


@every_loss
def test_value_and_gradient_vanish_at_the_teacher(cls):
    _, teacher, targets = logits(scale=3.0)
    loss = cls()
    # WTTM matches a student without temperature to a softened teacher.
    factor = getattr(loss, 'gamma', 1.0) if cls is WTTMLoss else 1.0
    student = (factor * teacher + 7).requires_grad_()
    result = value(loss, student, teacher, targets)
    result.backward()
    assert result.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


@every_loss
def test_a_shift_of_all_logits_of_a_clip_changes_nothing(cls):
    student, teacher, targets = logits()
    loss = cls()
    shifts = torch.arange(5.0, dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(
        value(loss, student + shifts, teacher - 2 * shifts, targets),
        value(loss, student, teacher, targets),
    )


@every_loss
def test_the_order_of_classes_and_clips_changes_nothing(cls):
    tensors = logits()
    loss = cls()
    classes, clips = [3, 5, 0, 1, 4, 2], [4, 0, 3, 1, 2]
    torch.testing.assert_close(
        value(loss, *(t[:, classes][clips] for t in tensors)),
        value(loss, *tensors),
    )


@every_loss
def test_the_teacher_gets_no_gradient(cls):
    student, teacher, targets = logits()
    teacher.requires_grad_()
    value(cls(), student.requires_grad_(), teacher, targets).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@every_loss
def test_half_logits_are_compared_in_float32_under_autocast(cls):
    student, teacher, targets = logits(scale=3.0)
    student, teacher = student.bfloat16(), teacher.bfloat16()
    loss = cls()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        result = value(loss, student, teacher, targets)
    assert result.dtype == torch.float32
    exact = value(loss, student.double(), teacher.double(), targets)
    torch.testing.assert_close(result.double(), exact, rtol=1e-4, atol=1e-6)


@every_loss
@pytest.mark.parametrize(
    ('student', 'teacher'),
    [
        (torch.zeros(3, 4), torch.randn(3, 4)),  # a head of zeros
        (torch.randn(3, 4), torch.zeros(3, 4)),
        (torch.zeros(3, 4), torch.zeros(3, 4)),
        (torch.ones(3, 1) * torch.randn(4), torch.randn(3, 4)),  # one answer
        (torch.randn(1, 4), torch.randn(1, 4)),
        (100 * torch.eye(4)[:3], -100 * torch.eye(4)[:3]),
        (1e4 * torch.eye(4)[:3], -1e4 * torch.eye(4)[:3]),
    ],
)
def test_constant_and_large_logits_give_finite_values(cls, student, teacher):
    student = student.clone().requires_grad_()
    targets = torch.eye(4)[: len(student)]
    result = value(cls(), student, teacher, targets)
    result.backward()
    assert result.isfinite()
    assert student.grad.isfinite().all()
    largest = teacher.abs().max() + student.detach().abs().max() + 1
    assert student.grad.abs().max() <= 100 * largest


@every_loss
def test_the_registered_loss_multiplies_by_its_weight(cls):
    tensors = logits()
    half = MODELS.build(dict(type=cls.__name__, loss_weight=0.5))
    torch.testing.assert_close(
        value(half, *tensors), 0.5 * value(cls(), *tensors)
    )
    assert 'loss_weight=0.5' in repr(half)


@every_loss
def test_other_classes_are_refused(cls):
    with pytest.raises(UserError, match=r'\(2, 3\).*\(2, 4\)'):
        value(cls(), torch.zeros(2, 3), torch.zeros(2, 4), torch.eye(3)[:2])


@every_loss
def test_a_negative_weight_is_refused(cls):
    with pytest.raises(UserError, match='loss_weight is -1'):
        cls(loss_weight=-1)


@pytest.mark.parametrize('cls', [c for c in LOSSES if c is not WTTMLoss])
@pytest.mark.parametrize('temperature', [0, -1.0, math.nan, math.inf])
def test_a_temperature_out_of_range_is_refused(cls, temperature):
    with pytest.raises(UserError, match='temperature is .* above 0'):
        cls(temperature=temperature)


@pytest.mark.parametrize(
    ('cls', 'options'),
    [
        (KLDivergenceLoss, dict(temperature=10)),
        (ReverseKLDivergenceLoss, dict(temperature=10)),
        (SymmetricKLDivergenceLoss, dict(temperature=10)),
        (BinaryDivergenceLoss, dict(temperature=10)),
        (StandardizedKLDivergenceLoss, dict(temperature=2)),
        (DISTLoss, dict(beta=2, gamma=2, temperature=1)),
        (DKDLoss, dict(alpha=1, beta=8, temperature=4)),
        (WTTMLoss, dict(gamma=0.2)),
    ],
)
def test_the_defaults_are_those_that_are_documented(cls, options):
    loss = cls()
    assert loss.options == options and loss.loss_weight == 1
    for name, value in options.items():
        assert getattr(loss, name) == value and f'{name}=' in repr(loss)


def test_only_the_forward_divergence_does_without_some_classes():
    assert not KLDivergenceLoss.needs_every_class
    others = [BinaryDivergenceLoss, *LOSSES[1:]]
    assert all(cls.needs_every_class for cls in others)
