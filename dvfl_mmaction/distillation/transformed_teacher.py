"""A student at temperature 1, matched to a softened teacher."""

import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor

from ..errors import UserError
from .losses import LogitLoss, in_float32


@in_float32
def transformed_teacher_divergence(
    student_logits: Tensor, teacher_logits: Tensor, gamma: float
) -> Tensor:
    """Weighted transformed teacher matching, WTTM (Zheng, Yang, ICLR 2024).

    Mean over the batch of U * sum_i r_i log(r_i / q_i), with
    p = softmax(teacher), U = sum_i p_i^gamma, r = p^gamma / U (the
    teacher at temperature 1 / gamma) and q = softmax(student) without a
    temperature. U is 1 for a teacher that is certain and K^(1 - gamma)
    for a uniform one. The loss is 0, and so is its gradient, where the
    student is gamma * teacher, up to a constant.

    Args:
        student_logits: (B, K), any floating dtype.
        teacher_logits: (B, K); no gradient flows into them.
        gamma: Exponent, 0 < gamma <= 1.

    Returns:
        Scalar >= 0, in nats.

    Raises:
        UserError: If the shapes differ.
    """
    powers = gamma * F.log_softmax(teacher_logits, dim=-1)
    log_sum = powers.logsumexp(-1, keepdim=True)
    log_q = F.log_softmax(student_logits, dim=-1)
    divergence = F.kl_div(
        log_q, powers - log_sum, reduction='none', log_target=True
    )
    return (log_sum.exp() * divergence).sum(-1).mean()


@MODELS.register_module()
class WTTMLoss(LogitLoss):
    """:func:`transformed_teacher_divergence` as a registered loss.

    Args:
        gamma: Exponent on the teacher's predictions, 0 < gamma <= 1; the
            paper calls 1 / gamma the temperature.
        loss_weight: Factor on the loss, >= 0; the paper's beta.

    Raises:
        UserError: If an argument is out of range.
    """

    compare = staticmethod(transformed_teacher_divergence)

    def __init__(self, gamma: float = 0.2, loss_weight: float = 1.0):
        if not 0 < gamma <= 1:
            raise UserError(
                f'gamma is {gamma}; give the exponent on the teacher, above '
                '0 and at most 1'
            )
        super().__init__(loss_weight, gamma=gamma)
