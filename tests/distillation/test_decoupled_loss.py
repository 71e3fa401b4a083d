"""Decoupled distillation against hand-worked numbers, and its labels."""

import math

import pytest
import torch

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import (
    DKDLoss,
    decoupled_divergence,
    kl_divergence,
)
from dvfl_mmaction.distillation.decoupled_loss import decoupled_parts

TEACHER = torch.tensor([[0.5, 0.375, 0.125]], dtype=torch.float64).log()
STUDENT = torch.tensor([[0.25, 0.375, 0.375]], dtype=torch.float64).log()
LABELS = torch.eye(3, dtype=torch.float64)


def test_a_hand_worked_divergence():
    # Label 0: TCKD compares (1/2, 1/2) with (1/4, 3/4), NCKD (3/4, 1/4)
    # with (1/2, 1/2).
    target = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    others = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    loss = decoupled_divergence(STUDENT, TEACHER, LABELS[:1], 1.0, 8.0, 1.0)
    assert loss.item() == pytest.approx(target + 8 * others, abs=1e-12)
    # At tau 2 the doubled logits are those of the case above.
    softened = decoupled_divergence(
        2 * STUDENT, 2 * TEACHER, LABELS[:1], 1.0, 8.0, 2.0
    )
    torch.testing.assert_close(softened, 4 * loss)


def test_the_parts_add_up_to_the_plain_divergence():
    """KL = TCKD + (1 - p_t) NCKD, the paper's equation 7."""
    student, teacher = torch.randn(2, 8, 5, dtype=torch.float64)
    label = torch.arange(8) % 5
    target, others = decoupled_parts(student, teacher, label)
    p = teacher.softmax(-1).gather(-1, label.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(
        (target + (1 - p) * others).mean(), kl_divergence(student, teacher, 1)
    )


def test_a_blended_label_counts_per_class_by_its_share():
    loss = [
        decoupled_divergence(STUDENT, TEACHER, one, 1.0, 8.0, 4.0)
        for one in LABELS.split(1)
    ]
    blend = (0.3 * LABELS[2] + 0.7 * LABELS[1]).unsqueeze(0)
    torch.testing.assert_close(
        decoupled_divergence(STUDENT, TEACHER, blend, 1.0, 8.0, 4.0),
        0.3 * loss[2] + 0.7 * loss[1],
    )


def test_what_has_no_label_gets_the_plain_divergence():
    none = torch.zeros(1, 3, dtype=torch.float64)
    plain = kl_divergence(STUDENT, TEACHER, 4.0)
    pair = STUDENT, TEACHER
    loss = decoupled_divergence(*pair, none, 1.0, 8.0, 4.0)
    torch.testing.assert_close(loss, plain)
    whole = decoupled_divergence(*pair, LABELS[:1], 1.0, 8.0, 4.0)
    part = decoupled_divergence(*pair, 0.6 * LABELS[:1], 1.0, 8.0, 4.0)
    torch.testing.assert_close(part, 0.6 * whole + 0.4 * plain)
    # Of a label with more classes, the two largest shares.
    dense = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    first, second = (
        decoupled_divergence(*pair, one, 1.0, 8.0, 4.0)
        for one in LABELS[:2].split(1)
    )
    torch.testing.assert_close(
        decoupled_divergence(*pair, dense, 1.0, 8.0, 4.0),
        0.5 * first + 0.3 * second + 0.2 * plain,
    )


def test_a_teacher_that_is_certain_still_teaches_the_other_classes():
    teacher = torch.tensor([[300.0, math.log(3.0), 0.0]])
    loss = decoupled_divergence(
        torch.zeros(1, 3), teacher, torch.eye(3)[:1], 0.0, 1.0, 1.0
    )
    others = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert loss.item() == pytest.approx(others, rel=1e-4)


def test_the_warm_up_follows_the_epoch():
    loss = DKDLoss(warmup_epochs=4)
    args = STUDENT, TEACHER, LABELS[:1]
    with pytest.raises(UserError, match='TeacherRecordingHook'):
        loss(*args)
    full = DKDLoss()(*args)
    for epoch, factor in [(0, 0.25), (2, 0.75), (3, 1.0), (9, 1.0)]:
        loss.begin_epoch(epoch)
        torch.testing.assert_close(loss(*args), factor * full)


def test_options_below_0_are_refused():
    for name in ('alpha', 'beta', 'warmup_epochs'):
        with pytest.raises(UserError, match=f'{name} is -1'):
            DKDLoss(**{name: -1})


def test_one_class_is_refused():
    logits = torch.zeros(2, 1)
    with pytest.raises(UserError, match='there is one class; use KLDiv'):
        DKDLoss()(logits, logits, torch.ones(2, 1))
