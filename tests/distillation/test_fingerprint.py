"""A recording is used only for the training that it was made in."""

from pathlib import Path

import pytest
from recorded_runs import distillation, recorded
from small_recipe import RANDOM_PIPELINE, run, write_teacher

from dvfl_mmaction.errors import UserError


def other_pipeline(config):
    config['train_dataloader']['dataset']['pipeline'] = (
        RANDOM_PIPELINE[:-3] + RANDOM_PIPELINE[-2:]
    )


def other_blending(config):
    blending = config['model']['data_preprocessor']['blending']
    blending['mixup_alpha'] = 0.5


def other_clips(config):
    path = Path(config['train_dataloader']['dataset']['data_root'])
    clips = (path / 'list.txt').read_text().splitlines()
    (path / 'other.txt').write_text('\n'.join(clips[::-1]) + '\n')
    config['train_dataloader']['dataset']['ann_file'] = 'other.txt'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.update(randomness=dict(seed=4)), 'seed is 0, .* has 4'),
        (lambda c: c['train_dataloader'].update(batch_size=2), 'batch_size'),
        (other_pipeline, 'pipeline'),
        (lambda c: c.update(clip_size=40), 'its pipeline'),
        (lambda c: c.update(clip_len=6), 'its pipeline'),
        (other_blending, 'preprocessing'),
        (other_clips, 'clips'),
        (
            lambda c: c['train_dataloader']['sampler'].update(shuffle=False),
            'sampler',
        ),
        (
            lambda c: c['train_cfg'].update(max_epochs=3),
            '6 iterations .* has 9',
        ),
        (
            lambda c: c['train_cfg'].update(type='EpochBasedTrainLoop'),
            'not repeatable',
        ),
        (
            lambda c: c['train_dataloader']['sampler'].update(
                type='DefaultSampler'
            ),
            'not repeatable',
        ),
    ],
)
def test_a_recording_of_another_training_is_refused(
    data, recordings, tmp_path, change, message
):
    folder = recordings.folder
    config = distillation(data, tmp_path, recorded(folder / 'float16'))
    change(config)
    with pytest.raises(UserError, match=message) as caught:
        run(config)
    assert '\n' not in str(caught.value)


def test_other_weights_of_the_teacher_are_refused_if_known(
    data, recordings, tmp_path
):
    folder = recordings.folder
    other = write_teacher(tmp_path / 'other.pth', seed=9)
    for known in (
        recorded(folder / 'float16', **other),
        other | dict(record_to=str(folder / 'float16')),
    ):
        with pytest.raises(UserError, match='teacher_sha256'):
            run(distillation(data, tmp_path / 'run', known))
    # A checkpoint that is not on disk is not compared.
    absent = recorded(folder / 'float16', config='c.py', checkpoint='no.pth')
    run(distillation(data, tmp_path / 'run', absent))


def test_another_input_of_the_teacher_is_refused(data, tmp_path):
    folder = str(tmp_path / 'rec')
    teacher = write_teacher(tmp_path / 'teacher.pth')
    longer = teacher | dict(num_frames=8)

    def train(teacher):
        config = distillation(data, tmp_path / 'run', teacher)
        config['train_cfg']['max_epochs'] = 1
        run(config)

    train(longer | dict(record_to=folder))
    for other in (teacher, teacher | dict(num_frames=6)):
        with pytest.raises(UserError, match='its teacher_input is .*8'):
            train(other | dict(record_to=folder))
    with pytest.raises(UserError, match='num_frames 8, but .* asks for 4'):
        train(recorded(folder, num_frames=4))
    train(recorded(folder, num_frames=8))
    train(recorded(folder))
