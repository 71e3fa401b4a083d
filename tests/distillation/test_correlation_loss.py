"""The correlation loss against hand-worked numbers."""

import pytest
import torch

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import DISTLoss, correlation_distance

# Predictions whose correlations are plain fractions.
TEACHER, STUDENT = torch.tensor(
    [
        [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]],
        [[0.5, 0.4, 0.1], [0.3, 0.1, 0.6]],
    ],
    dtype=torch.float64,
).log()


def test_a_hand_worked_distance():
    # Deviations from 1/3, in thirtieths: clip 1 (8, -1, -7) and (5, 2, -7):
    # rho = 87 / sqrt(114 * 78); clip 2 (-4, -1, 5) and (-1, -7, 8):
    # rho = 51 / sqrt(42 * 114).
    rows = 1 - (87 / (114 * 78) ** 0.5 + 51 / (42 * 114) ** 0.5) / 2
    over_classes = correlation_distance(STUDENT, TEACHER, 1.0, 0.0, 1.0)
    assert over_classes.item() == pytest.approx(rows, abs=1e-12)
    # Two clips correlate by 1 or -1: class 0 falls in both, class 2 rises in
    # both; the teacher's class 1 is constant and adds 0.
    over_batch = correlation_distance(STUDENT, TEACHER, 0.0, 1.0, 1.0)
    assert over_batch.item() == pytest.approx(0, abs=1e-12)
    swapped = correlation_distance(STUDENT.flip(0), TEACHER, 0.0, 1.0, 1.0)
    assert swapped.item() == pytest.approx((2 + 0 + 2) / 3)
    total = correlation_distance(STUDENT.flip(0), TEACHER, 2.0, 3.0, 1.0)
    part = correlation_distance(STUDENT.flip(0), TEACHER, 1.0, 0.0, 1.0)
    torch.testing.assert_close(total, 2 * part + 3 * swapped)


def test_it_agrees_with_torchs_correlation_at_a_temperature():
    student, teacher = torch.randn(2, 8, 5, dtype=torch.float64)
    q, p = (student / 4).softmax(-1), (teacher / 4).softmax(-1)

    def mean_rho(a, b):
        pairs = zip(a, b, strict=True)
        return sum(
            torch.corrcoef(torch.stack(ab))[0, 1] for ab in pairs
        ) / len(a)

    expected = 2 * (1 - mean_rho(q, p)) + 3 * (1 - mean_rho(q.T, p.T))
    torch.testing.assert_close(
        correlation_distance(student, teacher, 2.0, 3.0, 4.0), expected
    )


@pytest.mark.parametrize('margin', [45.0, 50.0, 60.0])
def test_classes_of_tiny_probabilities_correlate_like_others(margin):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 8, 6)
    unlikely = margin * (torch.arange(6) >= 3)
    exact = correlation_distance(
        (student - unlikely).double(), (teacher - unlikely).double(), 2, 2, 1
    )
    found = correlation_distance(
        student - unlikely, teacher - unlikely, 2, 2, 1
    )
    assert found.item() == pytest.approx(exact.item(), rel=1e-4)


def test_it_does_not_change_with_the_spread_of_the_predictions():
    """A student half as far from uniform is as good, unlike with KL."""
    p = TEACHER.exp()
    flatter = (0.5 * p + 0.5 / 3).log()
    loss = correlation_distance(flatter, TEACHER, 2.0, 2.0, 1.0)
    assert loss.item() == pytest.approx(0, abs=1e-12)


def test_one_clip_per_batch_leaves_the_correlation_over_classes():
    both = DISTLoss()(STUDENT[:1], TEACHER[:1])
    classes = DISTLoss(gamma=0.0)(STUDENT[:1], TEACHER[:1])
    assert both == classes > 0


def test_a_constant_student_counts_as_uncorrelated_without_a_gradient():
    student = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    loss = DISTLoss()(student, STUDENT)
    loss.backward()
    assert loss.item() == pytest.approx(4)
    assert not student.grad.any()


def test_a_negative_part_is_refused():
    for name in ('beta', 'gamma'):
        with pytest.raises(UserError, match=f'{name} is -1'):
            DISTLoss(**{name: -1})
