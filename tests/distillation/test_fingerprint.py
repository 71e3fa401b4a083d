"""A recording is used only for the training that it was made in."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from recorded_runs import distillation, recorded
from small_recipe import RANDOM_PIPELINE, run, write_teacher

from dvfl_mmaction.datasets.clip_dataset import ClipDataset
from dvfl_mmaction.datasets.stream import StreamSampler
from dvfl_mmaction.distillation import fingerprint as fingerprints
from dvfl_mmaction.distillation.fingerprint import (
    check_fingerprints,
    fingerprint,
    to_text,
)
from dvfl_mmaction.engine.stream_train_loop import StreamTrainLoop
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


class Loader(SimpleNamespace):
    def __len__(self):
        return self.batches


def make_runner(folder):
    """As much of a training as a fingerprint reads."""
    (folder / 'list.txt').write_text('a.mp4 0\n')
    dataset = ClipDataset.__new__(ClipDataset)
    dataset.ann_file = str(folder / 'list.txt')
    described = dict(
        type='ClipDataset',
        data_root='one',
        ann_file='list.txt',
        data_prefix=dict(video='videos'),
        pipeline=[dict(type='ClipInit')],
        start_index=0,
    )
    return SimpleNamespace(
        train_loop=StreamTrainLoop.__new__(StreamTrainLoop),
        train_dataloader=Loader(
            sampler=StreamSampler.__new__(StreamSampler),
            dataset=dataset,
            batch_size=4,
            batches=3,
        ),
        cfg=Config(
            dict(
                train_dataloader=dict(
                    dataset=described, sampler=dict(type='StreamSampler')
                ),
                model=dict(data_preprocessor=dict(type='P', mean=[1, 2])),
            )
        ),
        seed=0,
    )


def settings_of(runner):
    return runner.cfg.train_dataloader


@pytest.mark.parametrize(
    ('entry', 'change'),
    [
        (
            'clips',
            lambda r: Path(r.train_dataloader.dataset.ann_file).write_text(
                'b.mp4 0\n'
            ),
        ),
        ('dataset', lambda r: settings_of(r).dataset.update(start_index=1)),
        ('pipeline', lambda r: settings_of(r).dataset.pipeline.clear()),
        ('sampler', lambda r: settings_of(r).sampler.update(shuffle=False)),
        (
            'preprocessing',
            lambda r: r.cfg.model.data_preprocessor.update(mean=[2, 1]),
        ),
        ('seed', lambda r: setattr(r, 'seed', 1)),
        ('batch_size', lambda r: setattr(r.train_dataloader, 'batch_size', 5)),
        (
            'batches_per_epoch',
            lambda r: setattr(r.train_dataloader, 'batches', 4),
        ),
        (None, lambda r: settings_of(r).dataset.update(data_root='two')),
        (None, lambda r: settings_of(r).dataset.update(ann_file='b.txt')),
        (None, lambda r: settings_of(r).dataset.pop('data_prefix')),
    ],
)
def test_each_entry_is_of_one_setting(tmp_path, entry, change):
    """Folders may be others: the hash of the list tells its clips."""
    runner = make_runner(tmp_path)
    before = fingerprint(runner, 'c.py', None)
    change(runner)
    after = fingerprint(runner, 'c.py', None)
    assert before.keys() == after.keys()
    changed = [key for key in before if before[key] != after[key]]
    assert changed == [entry] * bool(entry)


def test_processes_teacher_and_its_input_are_entries(tmp_path, monkeypatch):
    runner = make_runner(tmp_path)
    before = fingerprint(runner, 'c.py', 'https://host/w.pth')
    assert before['world_size'] == 1 and before['teacher'] == '"c.py"'
    assert not {'teacher_sha256', 'teacher_input'} & before.keys()
    monkeypatch.setattr(fingerprints, 'get_world_size', lambda: 2)
    (tmp_path / 'w.pth').write_bytes(b'abc')
    given = fingerprint(runner, 'c.py', str(tmp_path / 'w.pth'), {})
    assert given['world_size'] == 2 and given['teacher_input'] == {}
    assert given['teacher_sha256'].startswith('ba7816bf')  # as in FIPS 180-2


def test_long_settings_are_compared_to_their_end():
    long = ['a' * 100] * 30
    texts = [to_text([*long, end]) for end in 'bc']
    assert texts[0] != texts[1] and max(map(len, texts)) < 300
    assert to_text(dict(b=1, a=(2, 3))) == '{"a": [2, 3], "b": 1}'


@pytest.mark.parametrize(
    ('wanted', 'recorded', 'named'),
    [
        (dict(seed=1), dict(seed=1), None),
        (dict(seed=1), dict(), 'seed is None, .* 1;'),
        (dict(), dict(seed=1), 'seed is 1, .* None;'),
        (dict(teacher='a'), dict(teacher='b'), None),
        (dict(teacher_sha256='a'), dict(teacher_sha256='b'), 'teacher_sha256'),
        (dict(teacher_sha256='a'), dict(), None),
        (dict(), dict(teacher_sha256='b'), None),
        (dict(teacher_input={}), dict(), None),
        (dict(teacher_input=dict(a=1)), dict(), 'teacher_input'),
        (dict(), dict(teacher_input=dict(a=1)), None),
        (
            dict(teacher_input={}),
            dict(teacher_input=dict(a=1)),
            'input is .*a',
        ),
        (dict(b=1, a=1), dict(b=2, a=2), 'its a is 2, .* 1;'),
        (dict(a='x' * 80), dict(), f'has {"x" * 80};'),
        (dict(a='x' * 81), dict(), rf'has {"x" * 60}\.\.\.{"x" * 17};'),
    ],
)
def test_what_both_know_must_be_equal(wanted, recorded, named):
    if named is None:
        check_fingerprints(wanted, recorded, 'folder')
        return
    with pytest.raises(UserError, match=named):
        check_fingerprints(wanted, recorded, 'folder')
