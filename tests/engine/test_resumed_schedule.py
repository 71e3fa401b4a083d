"""A schedule that the config asks for is set to an iteration."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import (
    LinearLR,
    ReduceOnPlateauLR,
    ReduceOnPlateauParamScheduler,
    StepLR,
)
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.resuming import (
    Schedule,
    check_training_state,
    counts_iterations,
    realign,
    schedulers_of,
)

PER_EPOCH = 3


def make_runner(per_epoch=PER_EPOCH, gamma=0.5, warm_up=2):
    """Of a run: a warm-up by iterations, then steps by epochs."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    schedulers = [
        LinearLR(optimizer, start_factor=0.1, by_epoch=False, end=warm_up),
        StepLR(optimizer, step_size=1, gamma=gamma),
    ]
    return SimpleNamespace(
        param_schedulers=schedulers,
        train_loop=SimpleNamespace(dataloader=range(per_epoch)),
        optimizer=optimizer,
    )


def train(runner, iterations, per_epoch=PER_EPOCH):
    """Step the schedulers as the hook of MMEngine does."""
    by_iteration, by_epoch = runner.param_schedulers[:2]
    for step in range(1, iterations + 1):
        runner.optimizer.step()
        by_iteration.step()
        if step % per_epoch == 0:
            by_epoch.step()
    return runner


def state(runner):
    return (
        runner.optimizer.param_groups[0]['lr'],
        [scheduler.state_dict() for scheduler in schedulers_of(runner)],
    )


@pytest.mark.parametrize('iteration', [0, 1, 2, 3, 5, 6, 7])
def test_the_schedule_is_that_of_an_uninterrupted_run(iteration):
    wanted = train(make_runner(), iteration)
    resumed = make_runner()
    schedule = Schedule(resumed)
    # As after loading the checkpoint of another schedule.
    train(resumed, 4)
    schedule.restore(resumed, iteration // PER_EPOCH, iteration)
    assert state(resumed) == state(wanted)


def test_an_epoch_that_is_not_counted_yet_has_not_stepped():
    """A hook saves after its last iteration, before the epoch ends."""
    wanted = train(make_runner(), 5)
    wanted.param_schedulers[0].step()
    resumed = make_runner()
    Schedule(resumed).restore(resumed, epoch=1, iteration=6)
    assert state(resumed) == state(wanted)


def test_without_epochs_no_scheduler_steps_by_epoch():
    """Also where the checkpoint has some, of another loop."""
    wanted, resumed = make_runner(), make_runner()
    wanted.optimizer.step()  # else PyTorch warns
    for _ in range(6):
        wanted.param_schedulers[0].step()
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    resumed.train_loop = loop
    assert counts_iterations(loop)
    other = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    assert not counts_iterations(other)
    Schedule(resumed).restore(resumed, epoch=2, iteration=6)
    assert state(resumed) == state(wanted)


def test_a_scheduler_that_follows_a_metric_keeps_its_state():
    runner = make_runner()
    follows = ReduceOnPlateauLR(runner.optimizer, monitor='loss', patience=0)
    runner.param_schedulers.append(follows)
    schedule = Schedule(runner)
    follows.step({'loss': 1.0})
    follows.step({'loss': 2.0})
    before = follows.state_dict()
    schedule.restore(runner, epoch=0, iteration=2)
    assert follows.state_dict() == before
    assert before['best'] == 1.0


def followed(patience=0, factor=0.1, param_name='lr'):
    """A runner with a scheduler that follows the loss, its third one."""
    runner = make_runner()
    follows = ReduceOnPlateauParamScheduler(
        runner.optimizer,
        param_name,
        monitor='loss',
        patience=patience,
        factor=factor,
    )
    runner.param_schedulers.append(follows)
    return runner


def test_what_a_metric_has_changed_is_no_other_schedule():
    """Its reductions of the rate would be lost at every resume."""
    runner = followed()
    schedule = Schedule(runner)
    train(runner, 4)
    for loss in (1.0, 2.0, 2.0):
        runner.param_schedulers[2].step({'loss': loss})
    assert not schedule.differs(runner)
    assert Schedule(followed(patience=3)).differs(runner)
    assert Schedule(followed(factor=0.5)).differs(runner)


def test_a_scheduler_that_follows_a_metric_has_the_options_of_the_config():
    runner = followed(patience=3)
    schedule = Schedule(runner)
    follows, other = runner.param_schedulers[2], followed(patience=9)
    for loss in (1.0, 2.0, 2.0):
        other.param_schedulers[2].step({'loss': loss})
    follows.load_state_dict(other.param_schedulers[2].state_dict())
    schedule.restore(runner, epoch=0, iteration=2)
    assert (follows.patience, follows.best) == (3, 1.0)
    assert (follows.num_bad_epochs, follows._global_step) == (2, 0)


@pytest.mark.parametrize(
    ('param_name', 'lost'),
    [
        ('lr', '; the reductions of lr by its metric are lost'),
        ('momentum', ''),
    ],
)
def test_reductions_that_are_lost_are_logged(param_name, lost):
    runner = followed(param_name=param_name)
    schedule = Schedule(make_runner(gamma=0.9))
    schedule.states.append(runner.param_schedulers[2].state_dict())
    schedule.values.append([])
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    loop._iter, loop._epoch, loop._max_iters = 2, 0, 6
    lines = []
    runner.train_loop = loop
    runner.logger = SimpleNamespace(warning=lines.append)
    realign(runner, schedule)
    (line,) = lines
    assert line.endswith(f'continues at iteration 2 of 6{lost}')


@pytest.mark.parametrize(
    ('changed', 'differs'),
    [(dict(), False), (dict(gamma=0.1), True), (dict(warm_up=3), True)],
)
def test_schedules_differ_by_more_than_their_progress(changed, differs):
    schedule = Schedule(make_runner())
    assert schedule.differs(train(make_runner(**changed), 4)) is differs


def test_schedulers_of_several_optimizers_are_found():
    a, b, c = object(), object(), object()
    runner = SimpleNamespace(param_schedulers=dict(x=[a, b], y=[c]))
    assert list(schedulers_of(runner)) == [a, b, c]
    assert list(schedulers_of(SimpleNamespace(param_schedulers=None))) == []


@pytest.mark.parametrize(
    'missing',
    ['epoch', 'iter', 'message_hub', 'optimizer', 'param_schedulers'],
)
def test_each_part_of_a_trainings_state_is_needed(missing):
    checkpoint = dict(
        meta=dict(epoch=0, iter=0),
        message_hub={},
        optimizer={},
        param_schedulers=[],
    )
    runner = make_runner()
    check_training_state(checkpoint, 'a.pth', runner)
    for part in (checkpoint['meta'], checkpoint):
        part.pop(missing, None)
    with pytest.raises(UserError, match=rf'a training \({missing}\), '):
        check_training_state(checkpoint, 'a.pth', runner)
