"""Training loop whose resumed runs equal uninterrupted ones."""

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import LOOPS
from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop

from ..datasets.stream import StreamSampler
from ..errors import UserError
from .train_batches import TrainBatches


@LOOPS.register_module()
class StreamTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resumes exactly, at any iteration.

    Before each iteration the random generators of Python, NumPy and PyTorch
    are seeded from (seed, iteration, process), so blending, drop path and
    dropout do not depend on earlier draws. With ``StreamSampler`` an
    interrupted epoch continues at the next batch; MMEngine's loop restarts
    it. The seed is stored in the checkpoint. A run that is resumed from a
    checkpoint of any iteration ends with the weights of an uninterrupted
    run. They are bit-identical where PyTorch's operations are
    deterministic, as on a CPU. Accumulated gradients are not stored: choose
    the ``interval`` of checkpoints as a multiple of ``accumulative_counts``.

    Takes the arguments of ``EpochBasedTrainLoop``.
    """

    @property
    def is_stream(self) -> bool:
        """Whether the sampler can leave out clips that were trained."""
        return isinstance(self.dataloader.sampler, StreamSampler)

    @property
    def batches(self) -> TrainBatches:
        """The batches that the runner has recorded, else those of now."""
        recorded = TrainBatches.recorded(self.runner)
        return recorded or TrainBatches.of(self.runner)

    def run(self) -> torch.nn.Module:
        """Train until the last epoch.

        Raises:
            UserError: If a checkpoint of other batches was resumed by
                another runner than ``CheckedRunner``.
        """
        now, before = TrainBatches.of(self.runner), self.batches
        if now.differs_from(before):
            raise UserError(
                f'the checkpoint was trained with {before}, this run '
                f"has {now}; set runner_type='CheckedRunner' to resume it"
            )
        if self.is_stream:
            # A resumed run takes the seed from its checkpoint.
            self.dataloader.sampler.seed = self.runner.seed
        return super().run()

    def run_epoch(self):
        """Train the remaining batches of this epoch."""
        self.done = self._iter - self._epoch * len(self.dataloader)
        if self.is_stream:
            sampler = self.dataloader.sampler
            sampler.skip = self.batches.clips_trained(self._epoch, self._iter)
            super().run_epoch()
            sampler.skip = 0
        else:
            super().run_epoch()

    def run_iter(self, idx: int, data_batch: Sequence[dict]):
        """Train one batch, the ``idx``-th of the loader."""
        self.seed_iteration()
        if self.is_stream:
            idx += self.done
        super().run_iter(idx, data_batch)

    def seed_iteration(self):
        """Seed all generators from seed, iteration and process."""
        words = np.random.SeedSequence(
            [self.runner.seed, self._iter, get_rank()]
        ).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(words[1])
        torch.manual_seed(int(words[2]))
