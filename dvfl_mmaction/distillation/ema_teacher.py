"""The student's own moving average as its teacher."""

from collections.abc import Callable

import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ..errors import UserError
from .teacher import Teacher, for_prediction, predict_logits


class EMATeacher(Teacher):
    """Exponential moving average of the student (Tarvainen and Valpola,
    "Mean teachers are better role models", 2017).

    It starts as the student at the first iteration. Before each iteration
    that follows an optimizer step (every one, unless gradients are
    accumulated), average = (1 - momentum) * average + momentum * student; the
    buffers (running means of a BatchNorm) are copied. It predicts in eval
    mode. Needs ``TeacherRecordingHook``, which also keeps the average in
    the checkpoints, so that a resumed run has the same losses.

    Args:
        momentum: Weight of the student in each update, above 0 and below 1.

    Raises:
        UserError: If the momentum is out of range; in training, if the hook
            is missing.
    """

    name = 'moving average of the student'

    def __init__(self, momentum: float = 0.001):
        if not 0 < momentum < 1:
            raise UserError(
                f'teacher.momentum is {momentum}; give the weight of the '
                'student in each update, above 0 and below 1, such as 0.001'
            )
        self.momentum = momentum
        self.average = self._student = None
        self._updated, self._optim_wrapper = False, None

    @property
    def is_built(self) -> bool:
        return self.average is not None

    def build(self, student: nn.Module):
        """Copy the student."""
        average = ExponentialMovingAverage(student, self.momentum)
        average.module.teacher = Teacher()  # the copy has none
        for_prediction(average.module)
        self.average, self._student = average, student

    def begin_training(self, student: nn.Module, runner: Runner):
        """Follow the steps of the runner's optimizer."""
        if isinstance(runner.optim_wrapper, OptimWrapper):
            self._optim_wrapper = runner.optim_wrapper

    def begin_iteration(self, iteration: int):
        """Update the average, unless gradients are being accumulated."""
        wrapper = self._optim_wrapper
        # Of the last iteration; true before the first one.
        if wrapper is None or wrapper.should_update():
            self.average.update_parameters(self._student)
        self._updated = True

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Logits of a training batch."""
        if not self._updated:
            raise UserError(
                'EMATeacher is never updated; set default_hooks.'
                "teacher_recording=dict(type='TeacherRecordingHook'), as in "
                'configs/_base_/default_runtime.py'
            )
        return predict_logits(self.average.module, inputs)

    def convert_tensors(self, convert: Callable, *args, **kwargs):
        """Convert the average, and not its count of updates."""
        if self.is_built:
            self.average.module._apply(convert, *args, **kwargs)

    def state_dict(self) -> dict:
        """Weights of the average, and the number of its updates."""
        return dict(
            steps=int(self.average.steps),
            state_dict=self.average.module.state_dict(),
        )

    def load_state_dict(self, state: dict):
        """Resume.

        Raises:
            UserError: If the checkpoint holds no average.
        """
        if 'steps' not in state:
            raise UserError(
                'the checkpoint to resume from has no EMATeacher; resume with '
                'the teacher that the run began with, or start a new run with '
                'load_from'
            )
        self.average.steps.fill_(state['steps'])
        self.average.module.load_state_dict(state['state_dict'])
