"""Hook that forwards the events of a training to the teacher."""

from mmaction.registry import HOOKS
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from torch import nn

from ..errors import UserError
from .class_names import training_class_names
from .combined_loss import begin_epoch, has_warmup
from .distill_recognizer import distilling_model

STATE = 'teacher_state'  # of a checkpoint


@HOOKS.register_module()
class TeacherRecordingHook(Hook):
    """Report start, iterations and end of a training to the teacher.

    Recording and recorded teachers open their file at the start and follow
    the iterations. The classes of a teacher are put into the student's
    order. A loss with a warm-up (``DKDLoss``) gets the epoch. The state of
    a teacher that learns (``EMATeacher``) is kept in
    the checkpoints, under ``teacher_state``. Logits on a GPU that are not
    finite stop the run after its first iteration, where the logger reads, or
    before a checkpoint. Without a teacher the hook does nothing.

    Raises:
        UserError: During training, if it is not repeatable (another loop or
            sampler), or the recording is of another training, or the teacher
            has other classes or logits that are not finite, or the loss has
            a warm-up and the loop has no epochs.
    """

    def before_train(self, runner):
        student = distilling_model(runner.model)
        self.teacher = None if student is None else student.teacher
        if self.teacher is not None:
            check_epochs(student.loss_kd, runner.train_loop)
            self.teacher.match_classes(training_class_names(runner))
            self.teacher.begin_training(student, runner)
        self.first = runner.iter
        self.interval = min(
            [h.interval for h in runner.hooks if isinstance(h, LoggerHook)],
            default=10,
        )

    def before_train_epoch(self, runner):
        student = distilling_model(runner.model)
        if student is not None:
            begin_epoch(student.loss_kd, runner.epoch)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.teacher is not None:
            self.teacher.begin_iteration(runner.iter)

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        student = distilling_model(runner.model)
        if student is not None and (
            runner.iter == self.first
            or self.every_n_inner_iters(batch_idx, self.interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            # The logger, which comes next, waits for the device here, too.
            student.finite_check.read()

    def after_train(self, runner):
        if self.teacher is not None:
            self.teacher.end_training()

    def before_save_checkpoint(self, runner, checkpoint):
        student = distilling_model(runner.model)
        if student is None or not student.teacher.is_built:
            return
        student.finite_check.read()
        if state := student.teacher.state_dict():
            checkpoint[STATE] = state

    def after_load_checkpoint(self, runner, checkpoint):
        student = distilling_model(runner.model)
        # load_from begins a new training, and testing has no teacher.
        if student is not None and runner._resume and student.teacher.is_built:
            student.teacher.load_state_dict(checkpoint.get(STATE, {}))


def check_epochs(loss: nn.Module, loop: BaseLoop):
    """Reject a loss with a warm-up in a loop that has a single epoch.

    Raises:
        UserError: With the loop.
    """
    if has_warmup(loss) and isinstance(loop, IterBasedTrainLoop):
        raise UserError(
            'warmup_epochs of loss_kd counts epochs, but train_cfg is a '
            f'{type(loop).__name__}, which has one for the whole training; '
            "set train_cfg.type='StreamTrainLoop' with max_epochs, or "
            'warmup_epochs=0'
        )
