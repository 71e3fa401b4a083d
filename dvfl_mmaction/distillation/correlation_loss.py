"""The correlation of a student's predictions with its teacher's."""

import torch
from mmaction.registry import MODELS
from torch import Tensor

from .losses import (
    LogitLoss,
    check_not_negative,
    in_float32,
    unit_deviations,
)


@in_float32
def correlation_distance(
    student_logits: Tensor,
    teacher_logits: Tensor,
    beta: float,
    gamma: float,
    temperature: float,
) -> Tensor:
    """DIST (Huang et al., NeurIPS 2022).

    beta * mean over the clips of (1 - rho over the classes) + gamma * mean
    over the classes of (1 - rho over the batch), rho the correlation of
    Pearson of softmax(teacher / tau) and softmax(student / tau). A term is
    0 where the teacher's row or column is constant, and 1, without a
    gradient, where only the student's is. With one clip per batch all
    columns are constant, so that only the first part remains. At the teacher
    the loss is 0 and so is its gradient. The released code also multiplies
    by tau^2, and adds 1e-8 to the product of the norms in rho.

    Args:
        student_logits: (B, K), any floating dtype.
        teacher_logits: (B, K); no gradient flows into them.
        beta: Weight of the correlation over the classes, >= 0.
        gamma: Weight of the correlation over the batch, >= 0.
        temperature: tau > 0.

    Returns:
        Scalar from 0 to 2 (beta + gamma).

    Raises:
        UserError: If the shapes differ.
    """
    q = (student_logits / temperature).softmax(-1)
    p = (teacher_logits / temperature).softmax(-1)
    return beta * mean_distance(q, p) + gamma * mean_distance(q.T, p.T)


def mean_distance(values: Tensor, wanted: Tensor) -> Tensor:
    """Mean over the rows of 1 - rho, (R, N) twice -> scalar, 0 to 2."""
    wanted = unit_deviations(wanted)
    rho = (unit_deviations(values) * wanted).sum(-1)
    return torch.where((wanted != 0).any(-1), 1 - rho, 0.0).mean()


@MODELS.register_module()
class DISTLoss(LogitLoss):
    """:func:`correlation_distance` as a registered loss.

    Args:
        beta: Weight of the correlation over the classes, >= 0; the paper's
            is 2.
        gamma: Weight of the correlation over the batch, >= 0; the paper's
            is 2.
        temperature: tau, > 0; the paper's is 1 (ImageNet) or 4 (CIFAR-100).
        loss_weight: Factor on the loss, >= 0.

    Raises:
        UserError: If an argument is out of range.
    """

    compare = staticmethod(correlation_distance)

    def __init__(
        self,
        beta: float = 2.0,
        gamma: float = 2.0,
        temperature: float = 1.0,
        loss_weight: float = 1.0,
    ):
        check_not_negative('beta', beta)
        check_not_negative('gamma', gamma)
        super().__init__(
            loss_weight, beta=beta, gamma=gamma, temperature=temperature
        )
