"""Training with a recorded teacher equals training with the teacher."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.config import Config
from small_recipe import (
    NUM_CLASSES,
    RANDOM_PIPELINE,
    distiller,
    random_recipe,
    run,
    write_teacher,
)
from torch import nn

from dvfl_mmaction.distillation.logit_recording import LogitRecording
from dvfl_mmaction.errors import UserError

TOOL = Path(__file__).parents[2] / 'tools' / 'record_teacher.py'
HOOKS = dict(
    checkpoint=dict(type='CheckpointHook', interval=1),
    teacher_recording=dict(type='TeacherRecordingHook'),
    teacher_accuracy=dict(type='TeacherAccuracyHook'),
)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp('teacher') / 'teacher.pth')


def config_of(data, work_dir, teacher, **kwargs):
    return random_recipe(
        distiller(teacher), data, work_dir, default_hooks=HOOKS, **kwargs
    )


def weights(work_dir):
    saved = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    return saved['state_dict']


def losses(runner):
    return runner.message_hub.get_scalar('train/loss_kd').data[0]


@pytest.fixture(scope='module')
def online(data, teacher, tmp_path_factory):
    """Runs with the teacher, recorded in float32 and in float16."""
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


def recorded(folder, **kwargs):
    """The config of a recorded teacher."""
    return dict(type='RecordedTeacher', path=str(folder), **kwargs)


def test_float32_gives_the_same_losses_and_weights_to_the_bit(
    data, online, tmp_path
):
    folder, wanted = online
    config = config_of(data, tmp_path, recorded(folder / 'float32'))
    config['train_dataloader']['num_workers'] = 2
    runner = run(config)
    assert losses(runner).tolist() == wanted.tolist()
    held = vars(runner.model.teacher).values()
    assert not any(isinstance(value, nn.Module) for value in held)
    own, others = weights(tmp_path), weights(folder / 'plain_run')
    assert all(torch.equal(own[name], others[name]) for name in others)


def test_float16_gives_the_same_losses_to_a_thousandth(data, online, tmp_path):
    folder, wanted = online
    runner = run(config_of(data, tmp_path, recorded(folder / 'float16')))
    assert losses(runner) == pytest.approx(wanted, rel=1e-3)
    sizes = [
        (folder / dtype / 'rank_0.logits').stat().st_size - 4096
        for dtype in ('float16', 'float32')
    ]
    # Six records of 8 bytes and 4 rows; the last one is half as long.
    rows = 5 * 4 + 2
    assert sizes == [6 * 8 + rows * NUM_CLASSES * n for n in (2, 4)]


def test_a_run_with_a_recorded_teacher_can_be_resumed(data, online, tmp_path):
    folder, _ = online
    config = config_of(data, tmp_path, recorded(folder / 'float32'))
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
    ('change', 'message'),
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
    data, online, tmp_path, change, message
):
    folder, _ = online
    config = config_of(data, tmp_path, recorded(folder / 'float16'))
    change(config)
    with pytest.raises(UserError, match=message) as caught:
        run(config)
    assert '\n' not in str(caught.value)


def test_other_weights_of_the_teacher_are_refused_if_known(
    data, online, tmp_path
):
    folder, _ = online
    other = write_teacher(tmp_path / 'other.pth', seed=9)
    for known in (
        recorded(folder / 'float16', **other),
        other | dict(record_to=str(folder / 'float16')),
    ):
        with pytest.raises(UserError, match='teacher_sha256'):
            run(config_of(data, tmp_path / 'run', known))
    # A checkpoint that is not on disk is not compared.
    absent = recorded(folder / 'float16', config='c.py', checkpoint='no.pth')
    run(config_of(data, tmp_path / 'run', absent))


def test_another_top_k_in_the_same_folder_is_refused(
    data, online, teacher, tmp_path
):
    folder, _ = online
    again = teacher | dict(record_to=str(folder / 'float16'), record_top_k=2)
    with pytest.raises(UserError, match='top_k None, not 2'):
        run(config_of(data, tmp_path, again))


def test_a_folder_without_recording_is_reported(data, tmp_path):
    config = config_of(data, tmp_path, recorded(tmp_path / 'absent'))
    with pytest.raises(UserError, match='holds no recording; make one'):
        run(config)


def test_recordings_need_the_hook(data, online, tmp_path):
    config = config_of(data, tmp_path, recorded(online[0] / 'float16'))
    config['default_hooks'] = {}
    with pytest.raises(UserError, match='default_hooks.teacher_recording'):
        run(config)


@pytest.mark.parametrize(
    ('wrong', 'message'),
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
def test_a_teacher_with_other_keys_is_reported(data, tmp_path, wrong, message):
    with pytest.raises(UserError, match=message):
        run(config_of(data, tmp_path, wrong))


@MODELS.register_module()
class SquaredDifference(nn.Module):
    """A loss that has no temperature."""

    def forward(self, student_logits, teacher_logits):
        return F.mse_loss(student_logits, teacher_logits)


def test_a_loss_without_temperature_works_with_every_teacher(
    data, teacher, tmp_path
):
    found = []
    kinds = dict(
        frozen=teacher,
        recording=teacher
        | dict(record_to=str(tmp_path / 'rec'), record_dtype='float32'),
        recorded=recorded(tmp_path / 'rec'),
    )
    for kind, config in kinds.items():
        config = config_of(data, tmp_path / kind, config)
        config['model']['loss_kd'] = dict(type='SquaredDifference')
        runner = run(config)
        assert type(runner.model.teacher).__name__.lower() == f'{kind}teacher'
        found.append(losses(runner).tolist())
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 6 and min(found[0]) > 0


def test_top_k_needs_a_loss_with_a_temperature(data, teacher, tmp_path):
    recording = dict(record_to=str(tmp_path / 'rec'), record_top_k=2)
    config = config_of(data, tmp_path / 'run', teacher | recording)
    config['model']['loss_kd'] = dict(type='SquaredDifference')
    with pytest.raises(
        UserError, match='record_top_k needs .* SquaredDifference has no'
    ):
        run(config)
    assert not (tmp_path / 'rec').exists()


def test_top_k_records_the_temperature_of_the_loss(data, teacher, tmp_path):
    for kind in (
        teacher | dict(record_to=str(tmp_path / 'rec'), record_top_k=2),
        recorded(tmp_path / 'rec'),
    ):
        config = config_of(data, tmp_path / 'run', kind)
        config['model']['loss_kd'] = dict(
            type='KLDivergenceLoss', temperature=5.0
        )
        run(config)
    header = LogitRecording.open(tmp_path / 'rec' / 'rank_0.logits').about
    assert header['temperature'] == 5 and header['top_k'] == 2


def test_a_recording_whose_header_has_a_temperature_is_continued(
    data, online, teacher, tmp_path
):
    """As written before the temperature was left out without ``top_k``."""
    new = LogitRecording.open(online[0] / 'float32' / 'rank_0.logits')
    assert new.about['temperature'] is None
    path = tmp_path / 'rec' / 'rank_0.logits'
    old = LogitRecording.create(path, new.about | dict(temperature=10.0))
    for i in range(6):
        old.write(i, new.read(i))
    old.close()
    whole = path.read_bytes()
    again = teacher | dict(
        record_to=str(tmp_path / 'rec'), record_dtype='float32'
    )
    for kind in (again, recorded(tmp_path / 'rec')):
        runner = run(config_of(data, tmp_path / 'run', kind))
        assert losses(runner).tolist() == online[1].tolist()
    assert path.read_bytes() == whole


def test_the_tool_records_what_training_records_and_resumes(
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
    # Stopped after four iterations: only the other two are recorded.
    whole = path.read_bytes()
    path.write_bytes(whole[: 4096 + 4 * (8 + 4 * NUM_CLASSES * 4) - 3])
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and path.read_bytes() == whole
    assert 'Epoch(train) [1]' not in done.stdout
    # A student trains with it.
    run(config_of(data, tmp_path / 'run', recorded(tmp_path / 'rec')))


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('absent.py', 'absent.py was not found'),
        ('plain.py', 'has no teacher to record'),
    ],
)
def test_the_tool_reports_wrong_configs(tmp_path, config, message):
    (tmp_path / 'plain.py').write_text("model = dict(type='Recognizer3D')\n")
    done = subprocess.run(
        [sys.executable, str(TOOL), config, '--to', 'rec'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: ') and message in line
    assert not (tmp_path / 'rec').exists()
