"""The Kullback-Leibler divergence of a student from its teacher."""

import math

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError


def kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Divergence of softened predictions (DVFL-Net; Hinton et al., 2015).

    tau^2 * mean over the batch of sum_i p_i log(p_i / q_i), with
    p = softmax(teacher / tau) and q = softmax(student / tau). It is 0, and
    so is its gradient, where the two agree up to a constant. Computed in
    float32 (float64 for float64 inputs) whatever the autocast: at
    temperature 10, bfloat16 arithmetic is off by a quarter and more.

    Args:
        student_logits: (B, K), any floating dtype.
        teacher_logits: (B, K); no gradient flows into them.
        temperature: tau > 0.

    Returns:
        Scalar >= 0, in nats, times tau^2.

    Raises:
        UserError: If the shapes differ.
    """
    check_shapes(student_logits, teacher_logits)
    dtype = torch.promote_types(student_logits.dtype, torch.float32)
    with torch.autocast(student_logits.device.type, enabled=False):
        log_p = F.log_softmax(
            teacher_logits.detach().to(dtype) / temperature, dim=-1
        )
        log_q = F.log_softmax(student_logits.to(dtype) / temperature, dim=-1)
        divergence = F.kl_div(
            log_q, log_p, reduction='batchmean', log_target=True
        )
        return temperature**2 * divergence


def check_shapes(student_logits: Tensor, teacher_logits: Tensor):
    """Reject logits of different shapes.

    Raises:
        UserError: With both shapes.
    """
    if student_logits.shape != teacher_logits.shape:
        raise UserError(
            f'student logits are {tuple(student_logits.shape)} but teacher '
            f'logits are {tuple(teacher_logits.shape)}; both must be '
            '(batch, classes) with the same classes'
        )


@MODELS.register_module()
class KLDivergenceLoss(nn.Module):
    """:func:`kl_divergence` as a registered loss.

    Args:
        temperature: tau, > 0. The paper tries 5, 10 and 15; 10 is its best.
        loss_weight: Factor on the loss, >= 0.

    Raises:
        UserError: If an argument is out of range.
    """

    def __init__(self, temperature: float = 10.0, loss_weight: float = 1.0):
        super().__init__()
        if not (temperature > 0 and math.isfinite(temperature)):
            raise UserError(
                f'temperature is {temperature}; give a number above 0 '
                '(the paper uses 10)'
            )
        if not (loss_weight >= 0 and math.isfinite(loss_weight)):
            raise UserError(
                f'loss_weight is {loss_weight}; give a number of 0 or more'
            )
        self.temperature = temperature
        self.loss_weight = loss_weight

    def forward(self, student_logits: Tensor, teacher_logits: Tensor):
        """(B, K) twice -> scalar, times ``loss_weight``."""
        return self.loss_weight * kl_divergence(
            student_logits, teacher_logits, self.temperature
        )

    def extra_repr(self) -> str:
        return (
            f'temperature={self.temperature}, loss_weight={self.loss_weight}'
        )
