"""Recognizers that learn from labels and from a teacher."""

import inspect
import logging

import torch
import torch.nn.functional as F
from mmaction.models import Recognizer2D, Recognizer3D
from mmaction.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper, merge_dict
from torch import Tensor, nn

from ..errors import UserError
from ..models.every_frame_head import repeat_rows, scores_to_learn
from .binary_divergence import binary_agreement, has_several_labels
from .combined_loss import (
    CombinedLoss,
    build_loss,
    call_loss,
    is_binary,
    needs_targets,
    parts_of,
)
from .ema_teacher import EMATeacher
from .ensemble_teacher import EnsembleTeacher
from .finite_check import FiniteCheck
from .losses import LogitLoss
from .recorded_teacher import RecordedTeacher, RecordingTeacher
from .teacher import FrozenTeacher, Teacher
from .unlabelled_clips import label_losses, soft_targets

ALPHA = 0.3  # by default
DELETE = '; in a derived config, _delete_=True drops the inherited keys'

TEACHERS = {
    cls.__name__: cls
    for cls in (FrozenTeacher, RecordingTeacher, RecordedTeacher, EMATeacher)
}


def complete_loss(config: dict | list[dict] | None, several_labels: bool):
    """Add the default type to the config of a distillation loss.

    Args:
        config: ``loss_kd`` of a config; None for the default loss.
        several_labels: Whether clips have several labels.
    """
    kind = 'BinaryDivergenceLoss' if several_labels else 'KLDivergenceLoss'
    if config is None or isinstance(config, dict):
        return dict(dict(type=kind), **(config or {}))
    return config


class Distillation:
    """Offline, response-based distillation, on top of a recognizer.

    L = alpha * L_kd + (1 - alpha) * L_ce (DVFL-Net). The recognizer *is*
    the student: its state dict holds ``backbone.*`` and ``cls_head.*`` and
    nothing else, so its checkpoints load in the plain recognizer's config.
    Teacher and student see the same tensor, after blending; a teacher of
    another input gets it converted, see
    :class:`.teacher_input.TeacherInput`. The teacher is built in
    ``init_weights()``, which only training calls, so testing needs no
    teacher.

    Args:
        teacher: ``dict(config=file or dict, checkpoint=file)``; add
            ``record_to=folder`` to record its logits, or give
            ``dict(type='RecordedTeacher', path=folder)`` to read a
            recording, or ``dict(type='EMATeacher')``. Several teachers are
            a list of such dicts, each with an optional ``weight``. See
            :class:`.teacher.Teacher`.
        alpha: Weight of the distillation loss, in [0, 1]; the paper's best
            is 0.3.
        loss_kd: Config of the distillation loss, a module that is called
            with the student's and the teacher's logits, and with
            ``targets=`` if its attribute ``needs_targets`` is true; see
            :class:`.losses.LogitLoss`. A list of configs is the sum of
            their losses. The default type is ``KLDivergenceLoss``, or
            ``BinaryDivergenceLoss`` for a head with several labels per
            clip.
        kwargs: Arguments of the recognizer.

    Raises:
        UserError: If an argument is out of range.
    """

    # Samples marked as ``unlabelled`` get the loss of the teacher alone.
    takes_unlabelled = True

    def __init__(
        self,
        teacher: dict | list[dict],
        alpha: float = ALPHA,
        loss_kd: dict | list[dict] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= alpha <= 1:
            raise UserError(
                f'alpha is {alpha}; give the weight of the distillation loss, '
                'from 0 (labels only) to 1 (teacher only)'
            )
        self.alpha = alpha
        several = has_several_labels(self.cls_head)
        self.loss_kd = build_loss(complete_loss(loss_kd, several))
        self._binary = is_binary(self.loss_kd)
        if several:
            check_several(parts_of(self.loss_kd))
        self.teacher = build_teacher(teacher)
        self.finite_check = FiniteCheck()

    def init_weights(self):
        """Initialise the student, then build the teacher."""
        super().init_weights()
        self.teacher.build(self)

    def _apply(self, fn, *args, **kwargs):
        # The teacher is outside the module tree; .to() converts it here.
        super()._apply(fn, *args, **kwargs)
        self.teacher.convert_tensors(fn, *args, **kwargs)
        return self

    def loss(self, inputs: Tensor, data_samples: list, **kwargs) -> dict:
        """Compute the losses of a batch.

        Args:
            inputs: Normalised clips, (B, V, C, T, H, W), or (B, T, C, H, W)
                for a 2D recognizer.
            data_samples: B samples with labels, hard or soft.

        Returns:
            ``loss_kd``, times alpha; the recognizer's own losses, times
            1 - alpha, of the labelled clips, see
            :func:`.unlabelled_clips.label_losses`; and, for the log only,
            the parts of several ``loss_kd``, ``teacher_entropy`` and
            ``student_entropy`` (nats, from 0 to log K) and
            ``teacher_agreement`` (share of the batch, 0 to 1), both per
            label with ``BinaryDivergenceLoss``. With an ``EveryFrameHead``
            the scores after each frame are compared with the teacher's of
            the clip.

        Raises:
            UserError: If the teacher's logits are NaN or infinite; on a
                GPU, TeacherRecordingHook raises it some iterations later.
        """
        feats, head_kwargs = self.extract_feat(
            inputs, data_samples=data_samples
        )
        loss_aux = head_kwargs.get('loss_aux', {})
        logits, data_samples = scores_to_learn(
            self.cls_head, feats, data_samples, **head_kwargs
        )
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        own = label_losses(self.cls_head, logits, data_samples)
        losses = {
            name: (1 - self.alpha) * value if 'loss' in name else value
            for name, value in merge_dict(own, loss_aux).items()
        }
        if not self.teacher.is_built:
            self.teacher.build(self)
        teacher_logits = self.teacher.logits(inputs)
        self.finite_check.add(teacher_logits, self.teacher.name)
        teacher_logits = repeat_rows(teacher_logits, len(logits))
        losses.update(self._kd_losses(logits, teacher_logits, data_samples))
        compare = binary_agreement if self._binary else agreement
        losses.update(compare(logits.detach(), teacher_logits))
        return losses

    def _kd_losses(
        self, logits: Tensor, teacher_logits: Tensor, data_samples: list
    ) -> dict:
        """``loss_kd`` and, if it is a sum, its parts, times alpha."""
        targets = {}
        if needs_targets(self.loss_kd):
            num_classes = self.cls_head.num_classes
            targets['targets'] = soft_targets(
                data_samples, num_classes, logits
            )
        if not isinstance(self.loss_kd, CombinedLoss):
            loss = call_loss(self.loss_kd, logits, teacher_logits, **targets)
            return dict(loss_kd=self.alpha * loss)
        parts = self.loss_kd.parts(logits, teacher_logits, **targets)
        parts = {name: self.alpha * part for name, part in parts.items()}
        return dict(
            loss_kd=torch.stack(list(parts.values())).sum(),
            **{name: part.detach() for name, part in parts.items()},
        )


def check_several(losses: list[nn.Module]):
    """Check the losses of a head that predicts several labels per clip.

    A softmax over the classes is warned about.

    Raises:
        UserError: If a loss needs the one label of a clip.
    """
    for loss in losses:
        name = type(loss).__name__
        if needs_targets(loss):
            raise UserError(
                f'the head predicts several labels per clip, but loss_kd is '
                f'{name}, which needs one; set '
                "loss_kd.type='BinaryDivergenceLoss'"
            )
        if isinstance(loss, LogitLoss) and not is_binary(loss):
            print_log(
                f'the head predicts several labels per clip, but loss_kd is '
                f'{name}, a softmax over the classes; set '
                "loss_kd.type='BinaryDivergenceLoss'",
                logger='current',
                level=logging.WARNING,
            )


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> dict:
    """Entropies of teacher and student, and their share of equal classes.

    A teacher whose entropy is near 0 adds little to the label.

    Args:
        student_logits: (B, K).
        teacher_logits: (B, K).
    """
    same = student_logits.argmax(-1) == teacher_logits.argmax(-1)
    return dict(
        teacher_entropy=entropy(teacher_logits),
        student_entropy=entropy(student_logits),
        teacher_agreement=same.float().mean(),
    )


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of softmax(logits), (B, K) -> scalar, in nats."""
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(-1).mean()


def distilling_model(model: nn.Module) -> Distillation | None:
    """Return the distilling student that a model is or wraps, or None."""
    model = model.module if is_model_wrapper(model) else model
    return model if isinstance(model, Distillation) else None


def build_teacher(teacher: dict | list[dict]) -> Teacher:
    """Check the keys of a teacher's config, and build the teacher."""
    if isinstance(teacher, list | tuple) and len(teacher) > 1:
        configs = [dict(one) for one in teacher if isinstance(one, dict)]
        weights = [config.pop('weight', 1.0) for config in configs]
        if len(configs) == len(teacher):
            return EnsembleTeacher(map(build_teacher, configs), weights)
    if isinstance(teacher, list | tuple) and len(teacher) == 1:
        (teacher,) = teacher
        if isinstance(teacher, dict):
            teacher = {k: v for k, v in teacher.items() if k != 'weight'}
    args = dict(teacher) if isinstance(teacher, dict) else {}
    records = any(key.startswith('record_') for key in args)
    name = args.pop('type', 'FrozenTeacher')
    if records and name == 'FrozenTeacher':
        name = 'RecordingTeacher'
    if name not in TEACHERS:
        raise UserError(
            f'teacher.type is {name!r}; give one of {", ".join(TEACHERS)}'
        )
    parameters = inspect.signature(TEACHERS[name]).parameters
    needed = {k for k, p in parameters.items() if p.default is p.empty}
    if not needed <= set(args) <= set(parameters):
        given = sorted(args) if isinstance(teacher, dict) else teacher
        wanted = ', '.join(
            f'{key}={"FILE" if key in ("config", "checkpoint") else "FOLDER"}'
            for key in parameters
            if key in needed
        )
        others = ', '.join(key for key in parameters if key not in needed)
        raise UserError(
            f'teacher is {given}; give dict({wanted})'
            + (f', and optionally {others}' if others else '')
            + ('' if set(args) <= set(parameters) else DELETE)
        )
    return TEACHERS[name](**args)


@MODELS.register_module()
class DistillRecognizer3D(Distillation, Recognizer3D):
    """:class:`Distillation` for a 3D recognizer; inputs NCTHW."""


@MODELS.register_module()
class DistillRecognizer2D(Distillation, Recognizer2D):
    """:class:`Distillation` for a 2D recognizer; inputs NCHW."""
