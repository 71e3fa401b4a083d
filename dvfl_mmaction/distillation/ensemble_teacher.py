"""Several teachers, whose predictions are averaged."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import UserError
from .combined_loss import is_binary
from .teacher import Teacher


class EnsembleTeacher(Teacher):
    """Weighted mean of the softened predictions of several teachers.

    The logits are those whose softmax at the temperature tau of ``loss_kd``
    is sum_i w_i softmax(teacher_i / tau), with weights that sum to 1. With
    ``BinaryDivergenceLoss`` the same holds for the sigmoid per class. A loss
    without a ``temperature`` gets the mean at temperature 1, and so do
    several losses of different temperatures.

    Args:
        members: The teachers.
        weights: Their weights, each above 0; they are divided by their sum.

    Raises:
        UserError: If a weight is out of range.
    """

    def __init__(self, members: Sequence[Teacher], weights: Sequence[float]):
        for weight in weights:
            if not (weight > 0 and math.isfinite(weight)):
                raise UserError(
                    f'teacher.weight is {weight}; give a number above 0, or '
                    'leave that teacher out'
                )
        self.members = list(members)
        self.weights = [weight / sum(weights) for weight in weights]
        self.temperature, self.binary = 1.0, False

    @property
    def name(self) -> str:
        return 'mean of ' + ', '.join(m.name for m in self.members)

    @property
    def is_built(self) -> bool:
        return all(member.is_built for member in self.members)

    @property
    def can_predict(self) -> bool:
        return all(member.can_predict for member in self.members)

    def build(self, student: nn.Module):
        """Build all teachers, for the loss of the student."""
        loss = student.loss_kd
        self.temperature = getattr(loss, 'temperature', 1.0)
        self.binary = is_binary(loss)
        for member in self.members:
            member.build(student)

    def logits(self, inputs: Tensor) -> Tensor:
        """Averaged logits of a training batch."""
        return self._average([m.logits(inputs) for m in self.members])

    def predict(self, inputs: Tensor) -> Tensor:
        """Averaged logits of clips."""
        return self._average([m.predict(inputs) for m in self.members])

    def _average(self, logits: list[Tensor]) -> Tensor:
        average = average_sigmoid if self.binary else average_softmax
        return average(logits, self.weights, self.temperature)

    def convert_tensors(self, convert: Callable, *args, **kwargs):
        """Convert the tensors of all teachers."""
        for member in self.members:
            member.convert_tensors(convert, *args, **kwargs)

    def match_classes(self, names: list[str] | None):
        """Put the classes of each teacher into the student's order."""
        for member in self.members:
            member.match_classes(names)

    def state_dict(self) -> dict:
        """States of the teachers that have one, by position."""
        states = {i: m.state_dict() for i, m in enumerate(self.members)}
        return {i: state for i, state in states.items() if state}

    def load_state_dict(self, state: dict):
        """Resume the teachers from their states."""
        for i, member in enumerate(self.members):
            member.load_state_dict(state.get(i, {}))

    def begin_training(self, student: nn.Module, runner: Runner):
        """Begin the training of all teachers."""
        for member in self.members:
            member.begin_training(student, runner)

    def begin_iteration(self, iteration: int):
        """Set the iteration of all teachers."""
        for member in self.members:
            member.begin_iteration(iteration)

    def end_training(self):
        """End the training of all teachers."""
        for member in self.members:
            member.end_training()


def average_softmax(
    logits: Sequence[Tensor], weights: Sequence[float], temperature: float
) -> Tensor:
    """Logits whose softmax is the weighted mean of the given softmaxes.

    Args:
        logits: A tensor (B, K) per teacher.
        weights: A number per teacher; they sum to 1.
        temperature: Of all softmaxes; > 0.

    Returns:
        (B, K), tau * log(sum_i w_i softmax(logits_i / tau)).
    """
    parts = [
        F.log_softmax(one / temperature, dim=-1) + math.log(weight)
        for one, weight in zip(logits, weights, strict=True)
    ]
    return temperature * torch.stack(parts).logsumexp(0)


def average_sigmoid(
    logits: Sequence[Tensor], weights: Sequence[float], temperature: float
) -> Tensor:
    """Logits whose sigmoid is the weighted mean of the given sigmoids.

    Arguments and shapes as for :func:`average_softmax`.
    """
    yes, no = (
        torch.stack(
            [
                F.logsigmoid(sign * one / temperature) + math.log(weight)
                for one, weight in zip(logits, weights, strict=True)
            ]
        ).logsumexp(0)
        for sign in (1, -1)
    )
    return temperature * (yes - no)
