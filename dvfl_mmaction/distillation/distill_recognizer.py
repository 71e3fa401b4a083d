"""Recognizers that learn from a frozen teacher and from the labels."""

import inspect

import torch
import torch.nn.functional as F
from mmaction.models import Recognizer2D, Recognizer3D
from mmaction.registry import MODELS
from mmengine.model import merge_dict
from torch import Tensor

from ..errors import UserError
from .recorded_teacher import RecordedTeacher, RecordingTeacher
from .teacher import FrozenTeacher

TEACHERS = {
    cls.__name__: cls
    for cls in (FrozenTeacher, RecordingTeacher, RecordedTeacher)
}


class Distillation:
    """Offline, response-based distillation, on top of a recognizer.

    L = alpha * L_kd + (1 - alpha) * L_ce (DVFL-Net). The recognizer *is*
    the student: its state dict holds ``backbone.*`` and ``cls_head.*`` and
    nothing else, so its checkpoints load in the plain recognizer's config.
    The teacher answers to the very tensor that the student sees, after
    blending; it is built in ``init_weights()``, which only training calls,
    so testing needs no teacher.

    Args:
        teacher: ``dict(config=file or dict, checkpoint=file)``; with
            ``record_to=folder``, which also writes its answers down; or
            ``dict(type='RecordedTeacher', path=folder)``, which reads them.
        alpha: Weight of the teacher's loss, in [0, 1]; the paper's best is
            0.3.
        loss_kd: Config of the teacher's loss.
        kwargs: Arguments of the recognizer.

    Raises:
        UserError: If an argument is out of range.
    """

    def __init__(
        self,
        teacher: dict,
        alpha: float = 0.3,
        loss_kd: dict | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= alpha <= 1:
            raise UserError(
                f'alpha is {alpha}; give the weight of the distillation loss, '
                'from 0 (labels alone) to 1 (teacher alone)'
            )
        self.alpha = alpha
        self.loss_kd = MODELS.build(loss_kd or dict(type='KLDivergenceLoss'))
        self.teacher = build_teacher(teacher)

    def init_weights(self):
        """Initialise the student, then build the teacher and load it."""
        super().init_weights()
        self.teacher.build(self)

    def _apply(self, fn, *args, **kwargs):
        # The teacher is outside the module tree, so .to() must take it.
        super()._apply(fn, *args, **kwargs)
        if self.teacher.model is not None:
            self.teacher.model._apply(fn, *args, **kwargs)
        return self

    def loss(self, inputs: Tensor, data_samples: list, **kwargs) -> dict:
        """Losses of a batch.

        Args:
            inputs: Normalised clips, (B, V, C, T, H, W), or (B, T, C, H, W)
                for a 2D recognizer.
            data_samples: B samples with labels, hard or soft.

        Returns:
            ``loss_kd``, times alpha; the recognizer's own losses, times
            1 - alpha; and, for the log alone, ``teacher_entropy`` and
            ``student_entropy`` (nats, from 0 to log K) and
            ``teacher_agreement`` (share of the batch, 0 to 1).
        """
        feats, head_kwargs = self.extract_feat(
            inputs, data_samples=data_samples
        )
        loss_aux = head_kwargs.get('loss_aux', {})
        logits = self.cls_head(feats, **head_kwargs)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        own = self.cls_head.loss_by_feat(logits, data_samples)
        losses = {
            name: (1 - self.alpha) * value if 'loss' in name else value
            for name, value in merge_dict(own, loss_aux).items()
        }
        if not self.teacher.is_built:
            self.teacher.build(self)
        teacher_logits = self.teacher.logits(inputs)
        losses['loss_kd'] = self.alpha * self.loss_kd(logits, teacher_logits)
        losses.update(agreement(logits.detach(), teacher_logits))
        return losses


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> dict:
    """How sure both are, and how often they name the same class.

    A teacher whose entropy is near 0 tells little more than the label.

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


def build_teacher(teacher: dict) -> FrozenTeacher | RecordedTeacher:
    """A teacher from its config, with its keys checked."""
    args = dict(teacher) if isinstance(teacher, dict) else {}
    records = any(key.startswith('record_') for key in args)
    default = 'RecordingTeacher' if records else 'FrozenTeacher'
    name = args.pop('type', default)
    if name not in TEACHERS:
        raise UserError(
            f'teacher.type is {name!r}; give one of {", ".join(TEACHERS)}'
        )
    parameters = inspect.signature(TEACHERS[name]).parameters
    needed = {k for k, p in parameters.items() if p.default is p.empty}
    if not needed <= set(args) <= set(parameters):
        came = sorted(args) if isinstance(teacher, dict) else teacher
        wanted = ', '.join(
            f'{key}={"FILE" if key in ("config", "checkpoint") else "FOLDER"}'
            for key in parameters
            if key in needed
        )
        raise UserError(f'teacher is {came}; give dict({wanted})')
    return TEACHERS[name](**args)


@MODELS.register_module()
class DistillRecognizer3D(Distillation, Recognizer3D):
    """:class:`Distillation` of a 3D recognizer; inputs NCTHW."""


@MODELS.register_module()
class DistillRecognizer2D(Distillation, Recognizer2D):
    """:class:`Distillation` of a 2D recognizer; inputs NCHW."""
