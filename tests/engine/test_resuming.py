"""Resume with other batches, processes or schedules."""

import errno
import re
from collections import Counter

import pytest
import torch
import what_is_trained  # noqa: F401  registers classes
from mmengine.fileio import LocalBackend
from small_recipe import random_recipe, recognizer, run, run_in_processes

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.train_batches import TrainBatches

NUM_CLIPS = 12


def config_of(data, work_dir, batch_size, epochs=2, **kwargs):
    """Warm-up by iterations, then a cosine by epochs."""
    config = random_recipe(
        recognizer(),
        data,
        work_dir,
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)
        ),
        custom_hooks=[dict(type='KeepRates')],
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
            dict(
                type='CosineAnnealingLR',
                eta_min=0.001,
                T_max=epochs,
                end=epochs,
                convert_to_iter_based=True,
            ),
        ],
        **kwargs,
    )
    loader = config['train_dataloader']
    loader.update(batch_size=batch_size)
    loader['dataset'].update(
        type='ListingDataset', listing=str(work_dir / 'clips.txt')
    )
    config['train_cfg'].update(max_epochs=epochs, val_interval=99)
    return config


def resume_at(work_dir, iteration):
    """Leave what a run has when it is stopped after an iteration."""
    for path in work_dir.glob('iter_*.pth'):
        if int(path.stem[5:]) > iteration:
            path.unlink()
    (work_dir / 'last_checkpoint').write_text(
        str(work_dir / f'iter_{iteration}.pth')
    )


def clips_per_epoch(work_dir):
    """How often each clip was read, by epoch; starts a new list."""
    listing = work_dir / 'clips.txt'
    lines = [
        tuple(map(int, line.split()))
        for line in listing.read_text().splitlines()
    ]
    listing.unlink()
    return {
        epoch: Counter(clip for e, clip in lines if e == epoch)
        for epoch, _ in lines
    }


def log_lines(work_dir):
    return [
        line.partition('resume: ')[2]
        for path in sorted(work_dir.glob('*/*.log'))
        for line in path.read_text().splitlines()
        if 'resume: ' in line
    ]


def all_once(epochs):
    return {e: Counter(range(NUM_CLIPS)) for e in epochs}


@pytest.fixture(scope='module')
def first_runs(data, tmp_path_factory):
    """Work folders of finished trainings, by batch size."""
    folders = {}

    def train(batch_size):
        if batch_size not in folders:
            folder = tmp_path_factory.mktemp(f'batch_{batch_size}')
            run(config_of(data, folder, batch_size))
            folders[batch_size] = folder
        return folders[batch_size]

    return train


@pytest.fixture
def stopped(first_runs, tmp_path):
    """Returns a copy of a run's folder, as it was after an iteration."""

    def copy(batch_size, iteration):
        saved = first_runs(batch_size) / f'iter_{iteration}.pth'
        (tmp_path / saved.name).write_bytes(saved.read_bytes())
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / saved.name))
        return tmp_path

    return copy


@pytest.mark.parametrize(
    ('before', 'after', 'iteration', 'left', 'batches'),
    [
        (2, 4, 3, 6, 2),  # larger, in the middle of an epoch
        (2, 4, 6, 0, 0),  # at its end
        (4, 2, 1, 8, 4),  # smaller
        (2, 5, 1, 10, 2),  # not dividing the clips
        (4, 5, 2, 4, 1),
        (2, 12, 1, 10, 1),  # one batch per epoch
    ],
)
def test_other_batches_train_each_clip_once(
    data, stopped, before, after, iteration, left, batches
):
    folder = stopped(before, iteration)
    runner = run(config_of(data, folder, after, resume=True))
    per_epoch = -(-NUM_CLIPS // after)
    trained = clips_per_epoch(folder)
    assert sum(trained.pop(0, {}).values()) == left
    assert trained == all_once([1])
    assert runner.iter == 2 * per_epoch
    assert min(runner.rates) == per_epoch - batches
    (line,) = log_lines(folder)
    assert f'{after} clips x 1 processes' in line
    assert f'not {before} clips x 1 processes' in line
    assert f'epoch 1 trains {left} of its 12 clips' in line


def test_the_clips_left_are_those_not_trained_before(data, tmp_path):
    run(config_of(data, tmp_path, 2))
    lines = (tmp_path / 'clips.txt').read_text().splitlines(keepends=True)
    resume_at(tmp_path, 3)
    (tmp_path / 'clips.txt').write_text(''.join(lines[:6]))
    run(config_of(data, tmp_path, 4, resume=True))
    assert clips_per_epoch(tmp_path) == all_once([0, 1])


def test_a_second_resume_within_the_epoch_is_exact(data, stopped):
    folder = stopped(2, 1)
    run(config_of(data, folder, 3, resume=True))  # 4 batches per epoch
    whole = torch.load(folder / 'iter_8.pth', weights_only=True)
    clips_per_epoch(folder)
    resume_at(folder, 2)  # of the first epoch's 10 clips, 6 are trained
    run(config_of(data, folder, 3, resume=True))
    again = torch.load(folder / 'iter_8.pth', weights_only=True)
    trained = clips_per_epoch(folder)
    assert sum(trained.pop(0).values()) == 4
    assert trained == all_once([1])
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, again['state_dict'][name]), name
    assert len(log_lines(folder)) == 1


@pytest.mark.parametrize('iteration', [3, 6])
def test_the_schedule_continues_at_the_same_share(
    data, stopped, first_runs, iteration
):
    scaled = dict(auto_scale_lr=dict(enable=True, base_batch_size=2))
    folder = stopped(2, iteration)
    resumed = run(config_of(data, folder, 4, resume=True, **scaled))
    whole = run(config_of(data, folder.parent / 'whole', 4, **scaled))
    shared = {i: whole.rates[i] for i in resumed.rates}
    assert resumed.rates == shared
    assert max(shared) == 5
    # Twice the batch, twice the rate: 0.05 is that of two clips.
    assert max(shared.values()) == pytest.approx(0.1, rel=0.5)


@pytest.mark.parametrize('by_option', [False, True])
def test_a_longer_schedule_is_followed(data, stopped, by_option):
    folder = stopped(4, 3)

    def longer(work_dir, **kwargs):
        if not by_option:
            return config_of(data, work_dir, 4, epochs=4, **kwargs)
        return config_of(data, work_dir, 4, **kwargs) | dict(epochs=4)

    resumed = run(longer(folder, resume=True))
    whole = run(longer(folder.parent / 'whole'))
    assert resumed.rates == {i: whole.rates[i] for i in range(3, 12)}
    assert list(whole.rates.values()).index(max(whole.rates.values())) == (
        3 if by_option else 1  # the warm-up follows
    )
    (line,) = log_lines(folder)
    assert re.search(r'schedule.*continues at iteration 3 of 12', line)


@pytest.mark.parametrize('longer', [False, True])
def test_iterations_without_epochs_follow_the_schedule(data, tmp_path, longer):
    def by_iterations(work_dir, end, **kwargs):
        config = config_of(data, work_dir, 4, **kwargs)
        config['train_dataloader']['sampler'] = dict(type='InfiniteSampler')
        config['train_cfg'] = dict(
            type='IterBasedTrainLoop', max_iters=end, val_interval=99
        )
        config['train_dataloader']['dataset'].pop('listing')
        config['train_dataloader']['dataset']['type'] = 'ClipDataset'
        config['param_scheduler'][1] = dict(
            type='CosineAnnealingLR', by_epoch=False, T_max=end, end=end
        )
        return config

    run(by_iterations(tmp_path, 3))
    resume_at(tmp_path, 2)
    end = 6 if longer else 3
    resumed = run(by_iterations(tmp_path, end, resume=True))
    whole = run(by_iterations(tmp_path / 'whole', end))
    assert resumed.rates == {i: whole.rates[i] for i in range(2, end)}
    lines = log_lines(tmp_path)
    assert len(lines) == longer
    if longer:
        assert 'continues at iteration 2 of 6' in lines[0]


def test_equal_settings_log_nothing(data, stopped):
    folder = stopped(4, 2)
    run(config_of(data, folder, 4, resume=True))
    assert log_lines(folder) == []


@pytest.mark.parametrize(
    'missing', ['meta', 'message_hub', 'optimizer', 'param_schedulers']
)
def test_weights_without_the_state_of_a_training_are_refused(
    data, stopped, missing
):
    folder = stopped(4, 2)
    path = folder / 'iter_2.pth'
    saved = torch.load(path, weights_only=True)
    del saved[missing]
    torch.save(saved, path)
    with pytest.raises(UserError, match='iter_2.pth cannot be resumed') as e:
        run(config_of(data, folder, 4, resume=True))
    wanted = 'epoch, iter' if missing == 'meta' else missing
    assert f'the state of a training ({wanted}), ' in str(e.value)
    assert 'load_from without --resume' in str(e.value)


def test_another_model_is_refused(data, stopped):
    folder = stopped(4, 2)
    config = config_of(data, folder, 4, resume=True)
    config['model']['cls_head']['num_classes'] = 5
    config['model']['data_preprocessor']['blending']['num_classes'] = 5
    with pytest.raises(UserError, match='iter_2.pth cannot be resumed') as e:
        run(config)
    assert 'fc_cls.weight is (4, 16), not (5, 16)' in str(e.value)
    assert 'load_from without --resume' in str(e.value)


def test_averages_are_not_resumed_without_their_hook(data, stopped):
    folder = stopped(4, 2)
    path = folder / 'iter_2.pth'
    saved = torch.load(path, weights_only=True)
    weights = saved['state_dict']
    saved['ema_state_dict'] = dict(
        {f'module.{k}': v for k, v in weights.items()}, steps=torch.tensor(1)
    )
    torch.save(saved, path)
    config = config_of(data, folder, 4, resume=True)
    with pytest.raises(
        UserError, match='iter_2.pth .* without EMAHook, which'
    ):
        run(config)
    config['custom_hooks'].append(dict(type='EMAHook'))
    run(config)


@pytest.mark.parametrize(
    ('optimizer', 'paramwise', 'problem'),
    [
        (dict(type='AdamW', lr=0.01), None, r"\(it lacks 'step'\)"),
        (
            dict(type='SGD', lr=0.05, weight_decay=0.1),
            dict(bias_decay_mult=0.0),
            'different number of parameter groups',
        ),
    ],
)
def test_another_optimizer_is_refused(
    data, stopped, optimizer, paramwise, problem
):
    config = config_of(data, stopped(4, 2), 4, resume=True)
    config['optim_wrapper'] = dict(
        optimizer=optimizer, paramwise_cfg=paramwise
    )
    with pytest.raises(UserError, match=f'cannot be resumed.*{problem}') as e:
        run(config)
    assert 'set optim_wrapper and frozen_stages' in str(e.value)


def test_an_optimizer_without_an_option_is_refused(data, stopped):
    folder = stopped(4, 2)
    path = folder / 'iter_2.pth'
    saved = torch.load(path, weights_only=True)
    del saved['optimizer']['param_groups'][0]['momentum']
    torch.save(saved, path)
    with pytest.raises(UserError, match=r'\(it lacks momentum of SGD\)'):
        run(config_of(data, folder, 4, resume=True))


def test_a_checkpoint_without_a_record_starts_its_epoch_again(data, stopped):
    folder = stopped(2, 9)
    path = folder / 'iter_9.pth'
    saved = torch.load(path, weights_only=True)
    del saved['message_hub']['runtime_info']['train_batches']
    torch.save(saved, path)
    run(config_of(data, folder, 4, resume=True))
    assert clips_per_epoch(folder) == all_once([1])
    (line,) = log_lines(folder)
    assert 'epoch 2 trains 12 of its 12 clips' in line


def test_one_process_continues_two(data, tmp_path):
    config = config_of(data, tmp_path, 2)
    run_in_processes(config, tmp_path, imports=['what_is_trained'])
    clips_per_epoch(tmp_path)
    resume_at(tmp_path, 2)  # 8 of 12 clips
    run(config_of(data, tmp_path, 2, resume=True))
    trained = clips_per_epoch(tmp_path)
    assert sum(trained.pop(0).values()) == 4
    assert trained == all_once([1])
    (line,) = log_lines(tmp_path)
    assert 'x 1 processes' in line
    assert 'x 2 processes' in line


def test_two_processes_continue_one(data, stopped):
    folder = stopped(2, 3)
    config = config_of(data, folder, 2, resume=True)
    run_in_processes(config, folder, imports=['what_is_trained'])
    trained = clips_per_epoch(folder)
    assert sum(trained.pop(0).values()) == 6
    assert trained == all_once([1])


def test_clips_trained_counts_complete_and_continued_epochs():
    batches = TrainBatches(4, 2, 1, 3, 20, False)
    assert batches.clips_trained(1, 3) == 0
    assert batches.clips_trained(1, 4) == 8
    assert batches.clips_trained(1, 6) == 20
    # 15 clips are left, 8 per process: two batches.
    assert batches.continue_epoch(1, clips=5) == 4
    assert batches.clips_trained(1, 5) == 13


def test_a_loader_without_a_batch_is_refused(data, tmp_path):
    config = config_of(data, tmp_path, 13)
    config['train_dataloader']['drop_last'] = True
    with pytest.raises(UserError, match='12 clips, 13 per batch'):
        run(config)


def test_no_half_written_checkpoint_stands_under_its_name(
    data, tmp_path, monkeypatch
):
    put = LocalBackend.put

    def fill_the_disk(self, content, path):
        if 'iter_2' in str(path):
            put(self, content[: len(content) // 2], path)
            raise OSError(errno.ENOSPC, 'No space left on device')
        put(self, content, path)

    monkeypatch.setattr(LocalBackend, 'put', fill_the_disk)
    with pytest.raises(UserError, match=r'iter_2\.pth cannot be written.*No '):
        run(config_of(data, tmp_path, 4))
    assert [p.name for p in tmp_path.glob('iter_*')] == ['iter_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_1.pth')
