"""Divergences on the label's class and among the other classes."""

import torch
from mmaction.registry import MODELS
from torch import Tensor

from ..errors import UserError
from .losses import LogitLoss, check_not_negative, in_float32


@in_float32
def decoupled_divergence(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    alpha: float,
    beta: float,
    temperature: float,
) -> Tensor:
    """Decoupled knowledge distillation, DKD (Zhao et al., CVPR 2022).

    tau^2 * mean over the batch of alpha * TCKD + beta * NCKD. With
    p = softmax(teacher / tau), q = softmax(student / tau) and the label t,
    TCKD is the divergence of (p_t, 1 - p_t) from (q_t, 1 - q_t), and NCKD
    that of the predictions among the other classes, p_i / (1 - p_t) and
    q_i / (1 - q_t). As KL = TCKD + (1 - p_t) NCKD, the loss is 0 at the
    teacher, and so is its gradient.

    A label that is a mixture (mixup, CutMix) counts per class: the loss of
    each class as t, times its share. The two largest shares count so; the
    rest of the clip, such as a part or a whole without a label, has no t and
    gets :func:`.losses.kl_divergence` times its share.

    Args:
        student_logits: (B, K), any floating dtype; K >= 2.
        teacher_logits: (B, K); no gradient flows into them.
        targets: Shares of the classes, (B, K) >= 0; a row sums to the share
            of the clip that is labelled, 0 to 1.
        alpha: Weight of TCKD, >= 0.
        beta: Weight of NCKD, >= 0.
        temperature: tau > 0.

    Returns:
        Scalar >= 0, in nats, times tau^2.

    Raises:
        UserError: If the shapes differ, or there is one class.
    """
    if student_logits.shape[-1] < 2:
        raise UserError(
            'DKDLoss compares the label with the other classes, but there is '
            'one class; use KLDivergenceLoss'
        )
    student = student_logits / temperature
    teacher = teacher_logits / temperature
    shares, classes = targets.to(student.dtype).topk(2)  # (B, 2) twice
    rest = (1 - shares.sum(-1)).clamp(min=0)
    loss = rest * divergence_per_clip(
        student.log_softmax(-1), teacher.log_softmax(-1)
    )
    for share, label in zip(
        shares.unbind(-1), classes.unbind(-1), strict=True
    ):
        target, others = decoupled_parts(student, teacher, label)
        loss = loss + share * (alpha * target + beta * others)
    return temperature**2 * loss.mean()


def decoupled_parts(
    student: Tensor, teacher: Tensor, label: Tensor
) -> tuple[Tensor, Tensor]:
    """TCKD and NCKD of logits, (B, K) twice and (B,) -> (B,) twice."""
    label = label.unsqueeze(-1)
    is_label = torch.zeros_like(student, dtype=torch.bool).scatter(
        -1, label, True
    )
    binary, others = [], []
    for logits in (student, teacher):
        log_p = logits.log_softmax(-1)
        without = log_p.masked_fill(is_label, -torch.inf)
        log_rest = without.logsumexp(-1, keepdim=True)
        binary.append(torch.cat([log_p.gather(-1, label), log_rest], -1))
        # The label's entry is 0 on both sides: it adds nothing.
        others.append((log_p - log_rest).masked_fill(is_label, 0))
    weights = others[1].exp().masked_fill(is_label, 0)
    return (
        divergence_per_clip(binary[0], binary[1]),
        (weights * (others[1] - others[0])).sum(-1),
    )


def divergence_per_clip(log_q: Tensor, log_p: Tensor) -> Tensor:
    """sum_i p_i log(p_i / q_i), (B, N) twice -> (B,)."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


@MODELS.register_module()
class DKDLoss(LogitLoss):
    """:func:`decoupled_divergence` as a registered loss.

    Args:
        alpha: Weight of the divergence on the label's class, >= 0.
        beta: Weight of the divergence among the other classes, >= 0; the
            paper's is 8 on CIFAR-100 for a wide teacher, 0.5 on ImageNet.
        temperature: tau, > 0; the paper's is 4 (CIFAR-100) or 1 (ImageNet).
        warmup_epochs: Epochs over which the weight rises linearly, as
            min(epoch / warmup_epochs, 1), epochs counted from 1; 0 for no
            warm-up. The paper's is 20 on CIFAR-100. Needs
            ``TeacherRecordingHook``, which sets the epoch.
        loss_weight: Factor on the loss, >= 0.

    Raises:
        UserError: If an argument is out of range; in use, if the epoch of a
            warm-up is unknown.
    """

    needs_targets = True
    compare = staticmethod(decoupled_divergence)

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        warmup_epochs: int = 0,
        loss_weight: float = 1.0,
    ):
        check_not_negative('alpha', alpha)
        check_not_negative('beta', beta)
        check_not_negative('warmup_epochs', warmup_epochs)
        super().__init__(
            loss_weight, alpha=alpha, beta=beta, temperature=temperature
        )
        self.warmup_epochs = warmup_epochs
        self.epoch = None

    def begin_epoch(self, epoch: int):
        """Set the epoch of the training, from 0."""
        self.epoch = epoch

    def warmup_factor(self) -> float:
        """Factor of the warm-up in this epoch, above 0 and at most 1."""
        if not self.warmup_epochs:
            return 1.0
        if self.epoch is None:
            raise UserError(
                'warmup_epochs of DKDLoss needs default_hooks.'
                "teacher_recording=dict(type='TeacherRecordingHook'), as in "
                'configs/_base_/default_runtime.py'
            )
        return min((self.epoch + 1) / self.warmup_epochs, 1.0)

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor
    ):
        """(B, K) three times -> scalar, times ``loss_weight``."""
        loss = self.compare(
            student_logits, teacher_logits, targets, **self.options
        )
        return self.warmup_factor() * self.loss_weight * loss
