"""Resume with another batch size, number of processes or schedule."""

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from ..checkpoints.matching_weights import describe_mismatch, weights_of
from ..errors import UserError, raised_in
from .stream_train_loop import StreamTrainLoop
from .train_batches import TrainBatches

TRAINING_STATE = ('epoch', 'iter')  # in the meta information
SCHEDULER_PROGRESS = {
    *('last_step', '_global_step', '_last_value'),
    *('best', 'num_bad_epochs', 'cooldown_counter'),  # of a metric
}


class Schedule:
    """The planned schedule of a runner, before its first iteration.

    A checkpoint overwrites schedulers and learning rates with its own. This
    copy, made before, restores the schedule that the config asks for.
    """

    def __init__(self, runner):
        self.states = [
            copy.deepcopy(scheduler.state_dict())
            for scheduler in schedulers_of(runner)
        ]
        self.values = [
            scheduled_values(scheduler) for scheduler in schedulers_of(runner)
        ]

    def differs(self, runner) -> bool:
        """Whether the runner's schedulers follow another schedule."""
        loaded = [s.state_dict() for s in schedulers_of(runner)]
        return [without_progress(s) for s in loaded] != [
            without_progress(s) for s in self.states
        ]

    def restore(self, runner, epoch: int, iteration: int):
        """Set the runner's schedulers to this schedule, at an iteration.

        MMEngine's schedulers compute a value from the previous one, so all
        steps are repeated. Schedulers that follow a metric keep what they
        know of it; their reductions of a value that others change, too, are
        lost.
        """
        kept = []
        for scheduler, state, values in zip(
            schedulers_of(runner), self.states, self.values, strict=True
        ):
            state = copy.deepcopy(state)
            if follows_metric(scheduler):
                loaded = scheduler.state_dict()
                progress = SCHEDULER_PROGRESS & loaded.keys()
                state |= {key: loaded[key] for key in progress}
                scheduler.load_state_dict(state)
                continue
            kept.append(scheduler)
            scheduler.load_state_dict(state)
            for group, value in zip(
                scheduler.optimizer.param_groups, values, strict=True
            ):
                group.update(value)
        per_epoch = math.inf  # such a loop steps no scheduler by epoch
        if not counts_iterations(runner.train_loop):
            per_epoch = len(runner.train_loop.dataloader)
        with warnings.catch_warnings():
            # About steps before the optimizer's first one.
            warnings.simplefilter('ignore', UserWarning)
            for step in range(1, iteration + 1):
                for scheduler in kept:
                    if not scheduler.by_epoch:
                        scheduler.step()
                if step % per_epoch == 0 and step // per_epoch <= epoch:
                    for scheduler in kept:
                        if scheduler.by_epoch:
                            scheduler.step()


def check_training_state(checkpoint: dict, path: str, runner):
    """Reject a checkpoint that has weights but no state of a training.

    Published files are such, and those that ``CheckpointHook`` writes with
    ``save_optimizer=False``: the momentum would start at zero, and without
    the schedulers the schedule from the beginning.

    Raises:
        UserError: With what is missing.
    """
    meta = checkpoint.get('meta') or {}
    missing = [key for key in TRAINING_STATE if key not in meta]
    keys = ['message_hub', 'optimizer']
    if any(True for _ in schedulers_of(runner)):
        keys.append('param_schedulers')
    missing += [key for key in keys if key not in checkpoint]
    if missing:
        raise UserError(
            f'{path} cannot be resumed: it holds weights without the state '
            f'of a training ({", ".join(missing)}), which CheckpointHook '
            'saves by default; to start from its weights, give it as '
            'load_from without --resume'
        )


def check_weights(checkpoint: dict, model: nn.Module, path: str, runner):
    """Reject a checkpoint of another model, which MMEngine only logs.

    Reject averages, too: ``EMAHook`` saves them as the weights, and only it
    puts the weights of the training back.

    Raises:
        UserError: With the weights that differ, or with the missing hook.
    """
    averaged = 'ema_state_dict' in checkpoint
    if averaged and not any(isinstance(h, EMAHook) for h in runner.hooks):
        raise UserError(
            f'{path} cannot be resumed without EMAHook, which saved averages '
            'as its weights; keep the hook in custom_hooks, or start from the '
            'averages: give the file as load_from without --resume'
        )
    if problems := describe_mismatch(weights_of(checkpoint), model):
        raise UserError(
            f'{path} cannot be resumed: its weights are not those of this '
            f'model: {problems}; resume with the model that the run began '
            'with, or start from the weights that fit: give the file as '
            'load_from without --resume'
        )


@contextmanager
def same_optimizer(runner, path: str) -> Iterator[None]:
    """Reject a checkpoint of another optimizer, which is loaded within.

    Raises:
        UserError: If its parameters are in other groups, or its options are
            those of another kind of optimizer.
    """
    problem = None
    try:
        yield
    except (KeyError, ValueError) as error:
        if not raised_in(error, 'torch.optim'):
            raise
        problem = str(error)
        if isinstance(error, KeyError):
            problem = f'it lacks {problem}'
    problem = problem or missing_options(runner.optim_wrapper)
    if problem:
        raise UserError(
            f'{path} cannot be resumed: its optimizer is not that of this '
            f'run ({problem}); set optim_wrapper and frozen_stages as when '
            'the run began, or start from its weights: give the file as '
            'load_from without --resume'
        )


def missing_options(wrapper: OptimWrapper | OptimWrapperDict) -> str:
    """Options of an optimizer that its loaded groups lack; '' if none do."""
    several = isinstance(wrapper, OptimWrapperDict)
    for part in wrapper.values() if several else [wrapper]:
        for group in part.optimizer.param_groups:
            if missing := part.optimizer.defaults.keys() - group.keys():
                kind = type(part.optimizer).__name__
                return f'it lacks {", ".join(sorted(missing))} of {kind}'
    return ''


def schedulers_of(runner) -> Iterator:
    """The parameter schedulers of a runner, of all its optimizers."""
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        for group in schedulers.values():
            yield from group
    else:
        yield from schedulers


def follows_metric(scheduler) -> bool:
    """Whether a scheduler reduces its value where a metric stays."""
    return getattr(scheduler, 'need_val_args', False)


def lost_reductions(runner) -> str:
    """Values that a metric and another scheduler change; '' if there are none.

    :meth:`Schedule.restore` repeats the other scheduler only.
    """
    by_metric, others = set(), set()
    for scheduler in schedulers_of(runner):
        names = by_metric if follows_metric(scheduler) else others
        names.add(scheduler.param_name)
    return ', '.join(sorted(by_metric & others))


def scheduled_values(scheduler) -> list[dict]:
    """The values that a scheduler changes, per parameter group."""
    names = (scheduler.param_name, f'initial_{scheduler.param_name}')
    return [
        {name: group[name] for name in names}
        for group in scheduler.optimizer.param_groups
    ]


def without_progress(state: dict) -> dict:
    """What defines a schedule, in the state of a scheduler."""
    return {k: v for k, v in state.items() if k not in SCHEDULER_PROGRESS}


def realign(runner, schedule: Schedule):
    """Continue a loaded checkpoint with the batches and schedule of this run.

    With the checkpoint's batches and schedule nothing changes, and the run
    stays bit-identical to an uninterrupted one. Otherwise the begun epoch
    trains the clips that are left, each once, and the config's schedule
    continues at the same share of the training. One log line reports this.
    Under another loop than :class:`StreamTrainLoop` a begun epoch starts
    again; without epochs only the schedule is compared.

    Args:
        runner: Has loaded the checkpoint.
        schedule: Of the runner, before it did.
    """
    loop = runner.train_loop
    loaded, changes = loop.iter, []
    if not counts_iterations(loop):
        changes += realign_batches(runner)
    if schedule.differs(runner) or loop.iter != loaded:
        schedule.restore(runner, loop.epoch, loop.iter)
        changes.append(
            "the config's schedule, not the checkpoint's, continues at "
            f'iteration {loop.iter} of {loop.max_iters}'
        )
        if lost := lost_reductions(runner):
            changes.append(f'the reductions of {lost} by its metric are lost')
    if changes:
        runner.logger.warning(f'resume: {"; ".join(changes)}')


def realign_batches(runner) -> list[str]:
    """Set the loop to the batch that comes next, and record the batches.

    Returns:
        What differs from the checkpoint, for the log.
    """
    loop, changes = runner.train_loop, []
    now, before = TrainBatches.of(runner), TrainBatches.recorded(runner)
    if before and not now.differs_from(before):
        now.epoch, now.iteration = before.epoch, before.iteration
        now.clips = before.clips
    elif before or not fits(loop, now.batches_per_epoch):
        clips = 0
        skips = isinstance(loop, StreamTrainLoop) and loop.is_stream
        if before and skips and now.num_clips == before.num_clips:
            clips = before.clips_trained(loop.epoch, loop.iter)
        loop._iter = now.continue_epoch(loop.epoch, clips)
        changes.append(
            f'epoch {loop.epoch + 1} trains {now.num_clips - clips} of its '
            f'{now.num_clips} clips'
        )
    if before and str(now) != str(before):
        changes.insert(0, f'batches are {now}, not {before}')
    now.record(runner)
    return changes


def counts_iterations(loop) -> bool:
    """Whether a training loop has no epochs."""
    return isinstance(loop, IterBasedTrainLoop)


def fits(loop, batches_per_epoch: int) -> bool:
    """Whether a checkpoint without a record may have these batches."""
    done = loop.iter - loop.epoch * batches_per_epoch
    return 0 <= done <= batches_per_epoch
