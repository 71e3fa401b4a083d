"""Several processes, or accumulated gradients, train as one large batch.

Without blending and drop path, whose draws belong to a process; docs/scale.md
lists what differs.
"""

import json

import pytest
import torch
from recorded_runs import HOOKS, recorded
from small_recipe import (
    RANDOM_PIPELINE,
    distiller,
    loader,
    recipe,
    run,
    run_in_processes,
    write_clip,
    write_dataset,
    write_teacher,
)

TOTAL_BATCH = 6


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """13 clips, of which the fifth cannot be read."""
    folder = write_dataset(tmp_path_factory.mktemp('clips'))
    write_clip(folder / 'last.mp4', 0)
    with (folder / 'list.txt').open('a') as file:
        file.write('last.mp4 0\n')
    (folder / 'clip_0_1.mp4').write_bytes(b'no video')
    return folder


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """A function that trains with one total batch; returns its folder."""
    root = tmp_path_factory.mktemp('runs')
    frozen = write_teacher(root / 'teacher.pth')

    def train(name, num_processes=1, accumulate=1, teacher=None, **kwargs):
        config = recipe(distiller(frozen | (teacher or {})), data, root / name)
        config['train_dataloader'].update(
            batch_size=TOTAL_BATCH // num_processes // accumulate,
            drop_last=True,
            sampler=dict(type='StreamSampler', shuffle=True),
        )
        config['train_dataloader']['dataset']['pipeline'] = RANDOM_PIPELINE
        config['train_cfg']['val_interval'] = 99
        config['optim_wrapper'].update(
            accumulative_counts=accumulate, clip_grad=dict(max_norm=1.0)
        )
        config['default_hooks'] = HOOKS | dict(
            broken_clips=dict(type='BrokenClipsHook')
        )
        config |= kwargs
        if num_processes == 1:
            run(config)
        else:
            (root / name).mkdir()
            run_in_processes(config, root / name, num_processes=num_processes)
        return root / name

    return train


@pytest.fixture(scope='module')
def one(trained):
    return trained('one')


def weights(folder) -> dict:
    path = max(folder.glob('epoch_*.pth'))
    return torch.load(path, weights_only=True)['state_dict']


def assert_close(a: dict, b: dict):
    assert a.keys() == b.keys()
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=1e-6, msg=key)


def test_two_processes_train_as_one_also_while_recording_the_teacher(
    one, trained, tmp_path
):
    recording = dict(record_to=str(tmp_path / 'rec'), record_dtype='float32')
    two = trained('two', 2, teacher=recording)
    assert_close(weights(two), weights(one))
    again = trained('again', 2, teacher=recorded(tmp_path / 'rec'))
    for key, value in weights(two).items():
        assert torch.equal(value, weights(again)[key]), key


def test_three_processes_train_as_one_with_the_same_broken_clips(one, trained):
    three = trained('three', 3)
    assert_close(weights(three), weights(one))
    reports = [
        json.loads((folder / 'broken_clips.json').read_text())
        for folder in (one, three)
    ]
    assert reports[0]['train'] == reports[1]['train']
    (broken,) = reports[0]['train']
    assert broken['clip'].endswith('clip_0_1.mp4')


def test_accumulated_gradients_are_those_of_the_larger_batch(one, trained):
    assert_close(weights(trained('accumulated', accumulate=2)), weights(one))


def test_the_last_batch_of_two_processes_has_the_first_clip_again(
    data, trained
):
    """If the number of clips is odd; docs/scale.md says so."""
    lines = (data / 'list.txt').read_text().splitlines()[5:12]
    folders = []
    for num_processes, clips in (1, [*lines, lines[0]]), (2, lines):
        name = f'{num_processes}_last'
        (data / f'{name}.txt').write_text('\n'.join(clips) + '\n')
        config = loader(data, batch_size=6 // num_processes)
        config['dataset']['ann_file'] = f'{name}.txt'
        folders.append(
            trained(
                name,
                num_processes,
                train_dataloader=config,
                train_cfg=dict(
                    type='StreamTrainLoop', max_epochs=1, val_interval=99
                ),
            )
        )
    assert_close(*map(weights, folders))
