"""A pass through a training for its teacher's answers alone."""

from collections.abc import Sequence

import torch
from mmaction.registry import LOOPS
from mmengine.dist import all_gather_object
from mmengine.model import is_model_wrapper

from ..engine.stream_train_loop import StreamTrainLoop


@LOOPS.register_module()
class RecordingLoop(StreamTrainLoop):
    """Show a training's every batch to its teacher, and train nothing.

    What was recorded before is not done again. The model is a
    ``DistillRecognizer3D`` or ``2D`` whose teacher records
    (``record_to``); its weights stay as they are.
    """

    def run(self) -> torch.nn.Module:
        """Record until the last epoch."""
        self.runner.call_hook('before_train')
        # All processes go on where the one that has the least stopped.
        counts = all_gather_object(
            self._model().teacher.replay.recording.count()
        )
        self._iter = min(counts)
        self._epoch = self._iter // len(self.dataloader)
        while self._epoch < self._max_epochs:
            self.run_epoch()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, idx: int, data_batch: Sequence[dict]):
        """Have the teacher answer to one batch, as training shows it."""
        self.seed_iteration()
        idx += self.done
        self.runner.call_hook(
            'before_train_iter', batch_idx=idx, data_batch=data_batch
        )
        model = self._model()
        with self.runner.optim_wrapper.optim_context(model):
            batch = model.data_preprocessor(data_batch, training=True)
            model.teacher.logits(batch['inputs'])
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch
        )
        self._iter += 1

    def _model(self):
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model
