"""Training under answers that were recorded, as under the teacher itself."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_recipe import (
    NUM_CLASSES,
    RANDOM_PIPELINE,
    distiller,
    recipe,
    run,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction.distillation.logit_recording import LogitRecording
from dvfl_mmaction.errors import UserError

TOOL = Path(__file__).parents[2] / 'tools' / 'record_teacher.py'
HOOKS = dict(
    checkpoint=dict(type='CheckpointHook', interval=1),
    teacher_recording=dict(type='TeacherRecordingHook'),
    teacher_accuracy=dict(type='TeacherAccuracyHook'),
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """10 clips, so that an epoch's last batch of 4 has 2."""
    folder = write_dataset(tmp_path_factory.mktemp('clips'), clips_per_class=3)
    lines = (folder / 'list.txt').read_text().splitlines()[:10]
    (folder / 'list.txt').write_text('\n'.join(lines) + '\n')
    return folder


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp('teacher') / 'teacher.pth')


def config_of(data, work_dir, teacher, **kwargs):
    model = distiller(teacher)
    model['data_preprocessor']['blending'] = dict(
        type='MixupOrCutmix', num_classes=NUM_CLASSES
    )
    model['backbone']['drop_path_rate'] = 0.2
    config = recipe(model, data, work_dir, default_hooks=HOOKS, **kwargs)
    config['train_dataloader']['sampler']['shuffle'] = True
    config['train_dataloader']['dataset']['pipeline'] = RANDOM_PIPELINE
    return config


def weights(work_dir):
    saved = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    return saved['state_dict']


def losses(runner):
    return runner.message_hub.get_scalar('train/loss_kd').data[0]


@pytest.fixture(scope='module')
def online(data, teacher, tmp_path_factory):
    """A run under the teacher, recorded in float32 and in float16."""
    folder = tmp_path_factory.mktemp('online')
    runs = {}
    for dtype in ('float32', 'float16'):
        recording = teacher | dict(
            record_to=str(folder / dtype), record_dtype=dtype
        )
        runs[dtype] = run(config_of(data, folder / f'{dtype}_run', recording))
    plain = run(config_of(data, folder / 'plain_run', teacher))
    assert losses(plain).tolist() == losses(runs['float32']).tolist()
    return folder, losses(plain)


def replay(folder, **kwargs):
    return dict(type='RecordedTeacher', path=str(folder), **kwargs)


def test_float32_gives_the_same_losses_and_weights_to_the_bit(
    data, online, tmp_path
):
    folder, wanted = online
    config = config_of(data, tmp_path, replay(folder / 'float32'))
    config['train_dataloader']['num_workers'] = 2
    runner = run(config)
    assert losses(runner).tolist() == wanted.tolist()
    assert runner.model.teacher.model is None
    own, others = weights(tmp_path), weights(folder / 'plain_run')
    assert all(torch.equal(own[name], others[name]) for name in others)


def test_float16_gives_the_same_losses_to_a_thousandth(data, online, tmp_path):
    folder, wanted = online
    runner = run(config_of(data, tmp_path, replay(folder / 'float16')))
    assert losses(runner) == pytest.approx(wanted, rel=1e-3)
    sizes = [
        (folder / dtype / 'rank_0.logits').stat().st_size - 4096
        for dtype in ('float16', 'float32')
    ]
    # Six records of 8 bytes and 4 rows; the last one is half as long.
    rows = 5 * 4 + 2
    assert sizes == [6 * 8 + rows * NUM_CLASSES * n for n in (2, 4)]


def test_a_resumed_replay_goes_on_where_it_was(data, online, tmp_path):
    folder, _ = online
    config = config_of(data, tmp_path, replay(folder / 'float32'))
    run(config)
    (tmp_path / 'epoch_2.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    run(config | dict(resume=True))
    own, others = weights(tmp_path), weights(folder / 'plain_run')
    assert all(torch.equal(own[name], others[name]) for name in others)


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
    ('change', 'told'),
    [
        (lambda c: c.update(randomness=dict(seed=4)), 'seed is 0, .* is 4'),
        (lambda c: c['train_dataloader'].update(batch_size=2), 'batch_size'),
        (other_pipeline, 'pipeline'),
        (other_blending, 'preprocessing'),
        (other_clips, 'clips'),
        (
            lambda c: c['train_dataloader']['sampler'].update(shuffle=False),
            'sampler',
        ),
        (lambda c: c['train_cfg'].update(max_epochs=3), '6 iterations, .* 9'),
        (
            lambda c: c['train_cfg'].update(type='EpochBasedTrainLoop'),
            'can be repeated',
        ),
        (
            lambda c: c['train_dataloader']['sampler'].update(
                type='DefaultSampler'
            ),
            'can be repeated',
        ),
    ],
)
def test_a_recording_of_another_training_is_refused(
    data, online, tmp_path, change, told
):
    folder, _ = online
    config = config_of(data, tmp_path, replay(folder / 'float16'))
    change(config)
    with pytest.raises(UserError, match=told) as caught:
        run(config)
    assert '\n' not in str(caught.value)


def test_other_weights_of_the_teacher_are_refused_where_they_are_known(
    data, online, tmp_path
):
    folder, _ = online
    other = write_teacher(tmp_path / 'other.pth', seed=9)
    for known in (
        replay(folder / 'float16', **other),
        other | dict(record_to=str(folder / 'float16')),
    ):
        with pytest.raises(UserError, match='teacher_sha256'):
            run(config_of(data, tmp_path / 'run', known))
    # A checkpoint that is not on disk is not asked for.
    absent = replay(folder / 'float16', config='c.py', checkpoint='no.pth')
    run(config_of(data, tmp_path / 'run', absent))


def test_another_form_in_the_same_folder_is_refused(
    data, online, teacher, tmp_path
):
    folder, _ = online
    again = teacher | dict(record_to=str(folder / 'float16'), record_top_k=2)
    with pytest.raises(UserError, match='top_k None, not 2'):
        run(config_of(data, tmp_path, again))


def test_a_folder_without_recording_is_told(data, tmp_path):
    config = config_of(data, tmp_path, replay(tmp_path / 'absent'))
    with pytest.raises(UserError, match='holds no recording; make one'):
        run(config)


def test_recordings_need_the_hook(data, online, tmp_path):
    config = config_of(data, tmp_path, replay(online[0] / 'float16'))
    config['default_hooks'] = {}
    with pytest.raises(UserError, match='default_hooks.teacher_recording'):
        run(config)


@pytest.mark.parametrize(
    ('wrong', 'told'),
    [
        (dict(type='Oracle'), "'Oracle'; give one of FrozenTeacher"),
        (dict(type='RecordedTeacher'), r'give dict\(path=FOLDER\)'),
        (
            dict(config='c', record_to='x'),
            'checkpoint=FILE, record_to=FOLDER',
        ),
        (
            dict(config='c', checkpoint='x', epochs=3),
            'config=FILE, checkpoint=FILE',
        ),
    ],
)
def test_a_teacher_with_other_keys_is_told(data, tmp_path, wrong, told):
    with pytest.raises(UserError, match=told):
        run(config_of(data, tmp_path, wrong))


def test_the_tool_records_what_training_records_and_goes_on(
    data, online, teacher, tmp_path
):
    folder, _ = online
    config = config_of(data, tmp_path / 'unused', teacher)
    config['custom_imports'] = dict(
        imports=['dvfl_mmaction'], allow_failed_imports=False
    )
    Config(config).dump(str(tmp_path / 'kd.py'))
    words = [sys.executable, str(TOOL), 'kd.py', '--to', 'rec']
    words += ['--dtype', 'float32', '--cfg-options', 'randomness.seed=0']
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    path = tmp_path / 'rec' / 'rank_0.logits'
    by_training = LogitRecording.open(folder / 'float32' / 'rank_0.logits')
    by_tool = LogitRecording.open(path)
    assert by_tool.count() == by_training.count() == 6
    for i in range(6):
        assert (by_tool.read(i) == by_training.read(i)).all()
    # Stopped after four iterations: the other two come again, alone.
    whole = path.read_bytes()
    path.write_bytes(whole[: 4096 + 4 * (8 + 4 * NUM_CLASSES * 4) - 3])
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and path.read_bytes() == whole
    assert 'Epoch(train) [1]' not in done.stdout
    # A student trains under it.
    run(config_of(data, tmp_path / 'run', replay(tmp_path / 'rec')))


@pytest.mark.parametrize(
    ('config', 'told'),
    [
        ('absent.py', 'absent.py is not there'),
        ('plain.py', 'has no teacher to record'),
    ],
)
def test_the_tool_says_what_it_wants(tmp_path, config, told):
    (tmp_path / 'plain.py').write_text("model = dict(type='Recognizer3D')\n")
    done = subprocess.run(
        [sys.executable, str(TOOL), config, '--to', 'rec'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and told in done.stderr
    assert done.stderr.count('\n') == 1 and not (tmp_path / 'rec').exists()
