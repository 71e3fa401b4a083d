"""Training loop that records the teacher's logits and trains nothing."""

from collections.abc import Sequence

import torch
from mmaction.registry import LOOPS
from mmengine.dist import all_gather_object

from ..engine.stream_train_loop import StreamTrainLoop
from ..errors import UserError
from .distill_recognizer import distilling_model
from .recorded_teacher import RecordingTeacher


@LOOPS.register_module()
class RecordingLoop(StreamTrainLoop):
    """Run the teacher on every training batch, and train nothing.

    Recorded iterations are skipped. The model is a ``DistillRecognizer3D``
    or ``DistillRecognizer2D`` whose teacher records (``record_to``); its
    weights do not change.

    Raises:
        UserError: In use, if the model has no teacher that records.
    """

    def run(self) -> torch.nn.Module:
        """Record until the last epoch."""
        student = distilling_model(self.runner.model)
        teacher = None if student is None else student.teacher
        if not isinstance(teacher, RecordingTeacher):
            raise UserError(
                'RecordingLoop found no recording teacher; use the config '
                'of a distillation and set model.teacher.record_to=FOLDER'
            )
        self.runner.call_hook('before_train')
        # All processes resume where the least advanced one stopped.
        self._iter = min(all_gather_object(teacher.count_recorded()))
        self._epoch = self._iter // len(self.dataloader)
        while self._epoch < self._max_epochs:
            self.run_epoch()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, idx: int, data_batch: Sequence[dict]):
        """Record the teacher's logits of one batch, blended as in training."""
        self.seed_iteration()
        idx += self.done
        self.runner.call_hook(
            'before_train_iter', batch_idx=idx, data_batch=data_batch
        )
        student = distilling_model(self.runner.model)
        with self.runner.optim_wrapper.optim_context(student):
            batch = student.data_preprocessor(data_batch, training=True)
            student.teacher.logits(batch['inputs'])
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch
        )
        self._iter += 1
