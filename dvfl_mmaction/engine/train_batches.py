"""How a training's clips are divided into batches."""

from dataclasses import asdict, dataclass

from mmengine.dist import get_world_size

INFO = 'train_batches'  # key in the message hub, which checkpoints carry


@dataclass
class TrainBatches:
    """The batches of a training run.

    Attributes:
        batch_size: Clips per process and iteration.
        num_processes: Processes of the run.
        accumulative_counts: Iterations per optimizer step.
        batches_per_epoch: Iterations of a whole epoch.
        num_clips: Clips of the data set.
        drop_last: Whether an incomplete last batch is left out.
        epoch, iteration, clips: An epoch that was continued with other
            batches: its number, the iteration it continued at, and the clips
            that were trained before.
    """

    batch_size: int
    num_processes: int
    accumulative_counts: int
    batches_per_epoch: int
    num_clips: int
    drop_last: bool
    epoch: int = -1
    iteration: int = 0
    clips: int = 0

    @classmethod
    def of(cls, runner) -> 'TrainBatches':
        """Those of a runner whose training loop is built."""
        loader = runner.train_loop.dataloader
        wrapper = runner.optim_wrapper
        return cls(
            loader.batch_size,
            get_world_size(),
            getattr(wrapper, '_accumulative_counts', 1),
            len(loader),
            len(loader.dataset),
            loader.drop_last,
        )

    @classmethod
    def recorded(cls, runner) -> 'TrainBatches | None':
        """Those that the runner, or the checkpoint it loaded, has recorded."""
        saved = runner.message_hub.runtime_info.get(INFO)
        return cls(**saved) if saved else None

    def record(self, runner):
        """Have them saved in the runner's checkpoints."""
        runner.message_hub.update_info(INFO, asdict(self))

    def clips_trained(self, epoch: int, iteration: int) -> int:
        """Clips of all processes that the epoch has trained so far."""
        if iteration >= (epoch + 1) * self.batches_per_epoch:
            return self.num_clips
        start, clips = epoch * self.batches_per_epoch, 0
        if epoch == self.epoch:
            start, clips = self.iteration, self.clips
        clips += (iteration - start) * self.batch_size * self.num_processes
        return min(clips, self.num_clips)

    def continue_epoch(self, epoch: int, clips: int) -> int:
        """Continue an epoch of which some clips have been trained.

        Returns:
            The iteration that comes next, so numbered that the epoch ends
            where a whole one does.
        """
        per_process = -(-(self.num_clips - clips) // self.num_processes)
        batches = per_process // self.batch_size
        if not self.drop_last and per_process % self.batch_size:
            batches += 1
        self.epoch, self.clips = epoch, clips
        self.iteration = (epoch + 1) * self.batches_per_epoch - batches
        return self.iteration

    def differs_from(self, other: 'TrainBatches') -> bool:
        """Whether batches differ, which moves clips to other iterations."""
        names = ('batch_size', 'num_processes', 'num_clips', 'drop_last')
        return any(getattr(self, n) != getattr(other, n) for n in names)

    def __str__(self) -> str:
        accumulated = self.accumulative_counts
        return (
            f'{self.batch_size} clips x {self.num_processes} processes'
            + (f' x {accumulated} accumulated' if accumulated > 1 else '')
            + f', {self.batches_per_epoch} batches per epoch'
        )
