"""Kullback-Leibler divergences of a student and its teacher."""

import functools
import math

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError

SMALLEST = 1e-30  # of values that are compared; its inverse is finite


def in_float32(compare):
    """Prepare the logits for a function that compares them.

    Their shapes must agree; the teacher's are detached; both become float32
    (float64 for float64 inputs), and autocast is off: at temperature 10,
    bfloat16 arithmetic is off by a quarter and more.
    """

    @functools.wraps(compare)
    def prepared(student_logits, teacher_logits, *args, **kwargs):
        check_shapes(student_logits, teacher_logits)
        dtype = torch.promote_types(student_logits.dtype, torch.float32)
        with torch.autocast(student_logits.device.type, enabled=False):
            return compare(
                student_logits.to(dtype),
                teacher_logits.detach().to(dtype),
                *args,
                **kwargs,
            )

    return prepared


@in_float32
def kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Divergence of softened predictions (DVFL-Net; Hinton et al., 2015).

    tau^2 * mean over the batch of sum_i p_i log(p_i / q_i), with
    p = softmax(teacher / tau) and q = softmax(student / tau). It is 0, and
    so is its gradient, where the two agree up to a constant. Computed in
    float32 (float64 for float64 inputs) whatever the autocast.

    Args:
        student_logits: (B, K), any floating dtype.
        teacher_logits: (B, K); no gradient flows into them.
        temperature: tau > 0.

    Returns:
        Scalar >= 0, in nats, times tau^2.

    Raises:
        UserError: If the shapes differ.
    """
    log_p = F.log_softmax(teacher_logits / temperature, dim=-1)
    log_q = F.log_softmax(student_logits / temperature, dim=-1)
    divergence = F.kl_div(log_q, log_p, reduction='batchmean', log_target=True)
    return temperature**2 * divergence


@in_float32
def reverse_kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Divergence in the other direction (Gu et al., MiniLLM, ICLR 2024).

    tau^2 * mean over the batch of sum_i q_i log(q_i / p_i); the rest as for
    :func:`kl_divergence`. A student that cannot follow the teacher
    everywhere keeps to the teacher's likely classes.
    """
    log_p = F.log_softmax(teacher_logits / temperature, dim=-1)
    log_q = F.log_softmax(student_logits / temperature, dim=-1)
    divergence = F.kl_div(log_p, log_q, reduction='batchmean', log_target=True)
    return temperature**2 * divergence


def symmetric_kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Mean of both directions (half of the divergence of Jeffreys, 1946).

    (:func:`kl_divergence` + :func:`reverse_kl_divergence`) / 2.
    """
    pair = student_logits, teacher_logits, temperature
    return (kl_divergence(*pair) + reverse_kl_divergence(*pair)) / 2


@in_float32
def standardized_kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Divergence of standardised logits (Sun et al., CVPR 2024).

    :func:`kl_divergence` of (z - mean(z)) / std(z) per clip, for both
    sides, std^2 = mean((z - mean(z))^2). The scale of the student's logits
    is thus free: the loss is 0 where they are a z_teacher + b, a > 0.
    Logits that are equal for all classes become 0 and get no gradient. The
    released code divides by K - 1 in std, instead of K as the paper.
    """
    scale = student_logits.shape[-1] ** 0.5
    return kl_divergence(
        scale * unit_deviations(student_logits),
        scale * unit_deviations(teacher_logits),
        temperature,
    )


def unit_deviations(values: Tensor) -> Tensor:
    """Deviations from the mean of the last axis, divided by their norm.

    Where the values are equal, up to the rounding of float32, or all below
    1e-30, there is no direction: the result is 0, and so is the gradient.
    Dividing by a small constant instead would give a gradient of its inverse.

    Args:
        values: (..., N).

    Returns:
        (..., N), of norm 1 or 0.
    """
    # Squares of probabilities below 1e-19 would underflow in float32. A
    # power of 2 changes no digit of the others.
    largest = values.detach().abs().amax(-1, keepdim=True)
    exponent = torch.frexp(largest.clamp(min=SMALLEST)).exponent
    values = values * torch.ldexp(torch.ones_like(largest), -exponent)
    deviations = values - values.mean(-1, keepdim=True)
    norm = torch.linalg.vector_norm(deviations, dim=-1, keepdim=True)
    size = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    varies = (norm > 1e-6 * size.detach()) & (largest > SMALLEST)
    return deviations * varies / torch.where(varies, norm, 1.0)


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


class LogitLoss(nn.Module):
    """Base of the registered losses: a function of logits, with a weight.

    Args:
        loss_weight: Factor on the loss, >= 0.
        options: Arguments of :meth:`compare`, kept as attributes.

    Attributes:
        needs_targets: Whether it is called with ``targets=`` too, the
            labels as (B, K) shares of the classes; a row sums to the share
            of the clip that is labelled.
        needs_every_class: Whether it needs the teacher's logits of all
            classes; it then refuses a recording with ``record_top_k``.

    Raises:
        UserError: If an argument is out of range.
    """

    needs_targets = False
    needs_every_class = True

    def __init__(self, loss_weight: float, **options):
        super().__init__()
        if 'temperature' in options:
            check_temperature(options['temperature'])
        check_not_negative('loss_weight', loss_weight)
        self.loss_weight = loss_weight
        self.options = options
        for name, value in options.items():
            setattr(self, name, value)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor):
        """(B, K) twice -> scalar, times ``loss_weight``."""
        return self.loss_weight * self.compare(
            student_logits, teacher_logits, **self.options
        )

    def extra_repr(self) -> str:
        shown = self.options | dict(loss_weight=self.loss_weight)
        return ', '.join(f'{name}={value}' for name, value in shown.items())


def check_temperature(temperature: float):
    """Reject a temperature that is not above 0.

    Raises:
        UserError: With the value.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise UserError(
            f'temperature is {temperature}; give a number above 0 '
            '(the paper uses 10)'
        )


def check_not_negative(name: str, value: float):
    """Reject a number below 0, NaN or infinity.

    Raises:
        UserError: With the name and the value.
    """
    if not (value >= 0 and math.isfinite(value)):
        raise UserError(f'{name} is {value}; give a number of 0 or more')


@MODELS.register_module()
class KLDivergenceLoss(LogitLoss):
    """:func:`kl_divergence` as a registered loss.

    Args:
        temperature: tau, > 0. The paper tries 5, 10 and 15; 10 is its best.
        loss_weight: Factor on the loss, >= 0.

    Raises:
        UserError: If an argument is out of range.
    """

    needs_every_class = False
    compare = staticmethod(kl_divergence)

    def __init__(self, temperature: float = 10.0, loss_weight: float = 1.0):
        super().__init__(loss_weight, temperature=temperature)


@MODELS.register_module()
class ReverseKLDivergenceLoss(KLDivergenceLoss):
    """:func:`reverse_kl_divergence` as a registered loss."""

    needs_every_class = True
    compare = staticmethod(reverse_kl_divergence)


@MODELS.register_module()
class SymmetricKLDivergenceLoss(KLDivergenceLoss):
    """:func:`symmetric_kl_divergence` as a registered loss."""

    needs_every_class = True
    compare = staticmethod(symmetric_kl_divergence)


@MODELS.register_module()
class StandardizedKLDivergenceLoss(LogitLoss):
    """:func:`standardized_kl_divergence` as a registered loss.

    Args:
        temperature: tau, > 0; the paper's is 2.
        loss_weight: Factor on the loss, >= 0; the paper's is 9, with 0.1 on
            the cross-entropy.
    """

    compare = staticmethod(standardized_kl_divergence)

    def __init__(self, temperature: float = 2.0, loss_weight: float = 1.0):
        super().__init__(loss_weight, temperature=temperature)
