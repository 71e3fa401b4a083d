"""Weighted transformed teacher matching against hand-worked numbers."""

import math

import pytest
import torch

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import (
    WTTMLoss,
    kl_divergence,
    transformed_teacher_divergence,
)


def test_a_hand_worked_divergence():
    # p = (0.9, 0.1), gamma 1/2: sqrt(p) is in the ratio 3 : 1, so
    # r = (3/4, 1/4) and U = 4 sqrt(0.1); q = (1/2, 1/2).
    teacher = torch.tensor([[0.9, 0.1]], dtype=torch.float64).log()
    student = torch.zeros(1, 2, dtype=torch.float64)
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = transformed_teacher_divergence(student, teacher, 0.5)
    expected = 4 * math.sqrt(0.1) * divergence
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_an_exponent_of_1_is_the_plain_divergence():
    student, teacher = torch.randn(2, 8, 5, dtype=torch.float64)
    torch.testing.assert_close(
        transformed_teacher_divergence(student, teacher, 1.0),
        kl_divergence(student, teacher, 1.0),
    )


def test_clips_on_which_the_teacher_is_unsure_weigh_more():
    """U is K^(1 - gamma) for a uniform teacher, 1 for a certain one."""
    student = torch.zeros(1, 4, dtype=torch.float64)
    student[0, 0] = 1.0
    log_q = student.log_softmax(-1)
    uniform = torch.zeros(1, 4, dtype=torch.float64)
    loss = transformed_teacher_divergence(student, uniform, 0.5)
    plain = -(log_q.sum() / 4) - math.log(4)
    torch.testing.assert_close(loss, 4**0.5 * plain)
    certain = torch.tensor([[200.0, 0, 0, 0]], dtype=torch.float64)
    loss = transformed_teacher_divergence(student, certain, 0.5)
    torch.testing.assert_close(loss, -log_q[0, 0])


@pytest.mark.parametrize('gamma', [0, -0.2, 1.5, math.nan])
def test_an_exponent_out_of_range_is_refused(gamma):
    with pytest.raises(UserError, match='gamma is .* at most 1'):
        WTTMLoss(gamma=gamma)
