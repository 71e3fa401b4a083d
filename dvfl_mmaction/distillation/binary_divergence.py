"""The divergence of a student with several labels per clip."""

import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .losses import KLDivergenceLoss, in_float32


@in_float32
def binary_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Sum over the classes of the divergence of two yes-or-no predictions.

    tau^2 * mean over the batch of sum_k [p_k log(p_k / q_k)
    + (1 - p_k) log((1 - p_k) / (1 - q_k))], with p = sigmoid(teacher / tau)
    and q = sigmoid(student / tau). It is 0, and so is its gradient, where
    the logits are equal. Computed in float32 (float64 for float64 inputs)
    whatever the autocast.

    Args:
        student_logits: (B, K), any floating dtype.
        teacher_logits: (B, K); no gradient flows into them.
        temperature: tau > 0.

    Returns:
        Scalar >= 0, in nats, times tau^2.

    Raises:
        UserError: If the shapes differ.
    """
    student = student_logits / temperature
    teacher = teacher_logits / temperature
    divergence = teacher.sigmoid() * (
        F.logsigmoid(teacher) - F.logsigmoid(student)
    ) + (-teacher).sigmoid() * (
        F.logsigmoid(-teacher) - F.logsigmoid(-student)
    )
    return temperature**2 * divergence.sum(-1).mean()


@MODELS.register_module()
class BinaryDivergenceLoss(KLDivergenceLoss):
    """:func:`binary_divergence` as a registered loss.

    For heads with a sigmoid per class (``loss_cls`` is
    ``BCELossWithLogits``). Arguments as for :class:`KLDivergenceLoss`.
    """

    needs_every_class = True
    compare = staticmethod(binary_divergence)


def has_several_labels(head: nn.Module) -> bool:
    """Whether a head predicts each class on its own, by a sigmoid."""
    loss = type(getattr(head, 'loss_cls', None)).__name__
    return bool(getattr(head, 'multi_class', False)) or (
        loss == 'BCELossWithLogits'
    )


def class_probabilities(head: nn.Module, logits: Tensor) -> Tensor:
    """Probabilities that the logits of a head mean, (..., K).

    Those of a sigmoid per class with several labels per clip, else those of
    a softmax.
    """
    if has_several_labels(head):
        return logits.sigmoid()
    return logits.softmax(-1)


def binary_agreement(student_logits: Tensor, teacher_logits: Tensor) -> dict:
    """Entropies per label, 0 to log 2, and the share of equal decisions.

    Args:
        student_logits: (B, K).
        teacher_logits: (B, K).
    """
    same = (student_logits > 0) == (teacher_logits > 0)
    return dict(
        teacher_entropy=binary_entropy(teacher_logits),
        student_entropy=binary_entropy(student_logits),
        teacher_agreement=same.float().mean(),
    )


def binary_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of sigmoid(logits), any shape -> scalar, in nats."""
    return -(
        logits.sigmoid() * F.logsigmoid(logits)
        + (-logits).sigmoid() * F.logsigmoid(-logits)
    ).mean()
