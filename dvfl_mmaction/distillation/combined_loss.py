"""Several distillation losses, added."""

import re
from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from .binary_divergence import BinaryDivergenceLoss


class CombinedLoss(nn.Module):
    """Sum of several losses, each with its own ``loss_weight``.

    Args:
        losses: Modules that are called with the student's and the teacher's
            logits.

    Attributes:
        temperature: That of the losses, if all have the same; else there is
            no such attribute.
    """

    def __init__(self, losses: Sequence[nn.Module]):
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.needs_targets = any(map(needs_targets, losses))
        self.needs_every_class = any(map(needs_every_class, losses))
        temperatures = {getattr(loss, 'temperature', None) for loss in losses}
        if len(temperatures) == 1 and None not in temperatures:
            (self.temperature,) = temperatures

    def parts(
        self, student_logits: Tensor, teacher_logits: Tensor, **targets
    ) -> dict[str, Tensor]:
        """Each loss by its name in the log, (B, K) twice -> scalars."""
        names = part_names(self.losses)
        return {
            name: call_loss(loss, student_logits, teacher_logits, **targets)
            for name, loss in zip(names, self.losses, strict=True)
        }

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, **targets
    ) -> Tensor:
        """(B, K) twice -> scalar."""
        parts = self.parts(student_logits, teacher_logits, **targets)
        return torch.stack(list(parts.values())).sum()


def build_loss(config: dict | Sequence[dict]) -> nn.Module:
    """Build a distillation loss, or the sum of those of a list.

    Raises:
        UserError: If the list is empty, or it or an entry is something else.
    """
    if isinstance(config, dict):
        return MODELS.build(config)
    sound = isinstance(config, list | tuple) and config
    if not sound or not all(isinstance(one, dict) for one in config):
        raise UserError(
            f'loss_kd is {config}; give a loss, such as '
            "dict(type='KLDivergenceLoss'), or a list of such dicts"
        )
    losses = [MODELS.build(one) for one in config]
    return losses[0] if len(losses) == 1 else CombinedLoss(losses)


def parts_of(loss: nn.Module) -> list[nn.Module]:
    """The losses that a loss adds, or the loss itself."""
    return list(loss.losses) if isinstance(loss, CombinedLoss) else [loss]


def part_names(losses: Sequence[nn.Module]) -> list[str]:
    """Names in the log, ``kd_DIST`` for ``DISTLoss``.

    MMEngine adds up what has 'loss' in its name, so they have not. A class
    that occurs again gets a number.
    """
    names = []
    for loss in losses:
        stem = re.sub('loss', '', type(loss).__name__, flags=re.IGNORECASE)
        name, number = f'kd_{stem}', 2
        while name in names:
            name, number = f'kd_{stem}_{number}', number + 1
        names.append(name)
    return names


def call_loss(
    loss: nn.Module, student_logits: Tensor, teacher_logits: Tensor, **targets
) -> Tensor:
    """Call a loss, with ``targets`` if it needs them."""
    kwargs = targets if needs_targets(loss) else {}
    return loss(student_logits, teacher_logits, **kwargs)


def needs_targets(loss: nn.Module) -> bool:
    """Whether a loss is called with ``targets`` too."""
    return getattr(loss, 'needs_targets', False)


def needs_every_class(loss: nn.Module) -> bool:
    """Whether a loss needs the teacher's logits of all classes."""
    return getattr(loss, 'needs_every_class', False)


def is_binary(loss: nn.Module) -> bool:
    """Whether a loss compares a sigmoid per class, in all of its parts."""
    return all(isinstance(p, BinaryDivergenceLoss) for p in parts_of(loss))


def has_warmup(loss: nn.Module) -> bool:
    """Whether a loss, or a part of it, changes with the epoch."""
    return any(getattr(p, 'warmup_epochs', 0) for p in parts_of(loss))


def begin_epoch(loss: nn.Module, epoch: int):
    """Tell the losses that have a warm-up the epoch, from 0."""
    for part in parts_of(loss):
        if hasattr(part, 'begin_epoch'):
            part.begin_epoch(epoch)
