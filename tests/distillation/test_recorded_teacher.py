"""Training with a recorded teacher equals training with the teacher."""

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from recorded_runs import distillation, kd_losses, recorded
from small_recipe import NUM_CLASSES, run
from torch import nn

from dvfl_mmaction.distillation import recorded_teacher
from dvfl_mmaction.distillation.distill_recognizer import build_teacher
from dvfl_mmaction.distillation.logit_recording import LogitRecording
from dvfl_mmaction.errors import UserError


@pytest.mark.parametrize('named', [{}, dict(type='FrozenTeacher')])
def test_a_frozen_teacher_records_if_it_is_to(named):
    """Also where its type is given: a tool adds ``record_to``."""
    frozen = dict(config='c.py', checkpoint='w.pth', **named)
    assert type(build_teacher(frozen)).__name__ == 'FrozenTeacher'
    teacher = build_teacher(frozen | dict(record_to='folder'))
    assert type(teacher).__name__ == 'RecordingTeacher'
    with pytest.raises(UserError, match='teacher is .*record_to'):
        build_teacher(dict(type='EMATeacher', record_to='folder'))


def weights(work_dir):
    saved = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    return saved['state_dict']


def test_float32_gives_the_same_losses_and_weights_to_the_bit(
    data, recordings, tmp_path
):
    folder, wanted = recordings.folder, recordings.losses
    config = distillation(data, tmp_path, recorded(folder / 'float32'))
    config['train_dataloader']['num_workers'] = 2
    runner = run(config)
    assert kd_losses(runner).tolist() == wanted.tolist()
    held = vars(runner.model.teacher).values()
    assert not any(isinstance(value, nn.Module) for value in held)
    own, others = weights(tmp_path), weights(folder / 'plain_run')
    assert all(torch.equal(own[name], others[name]) for name in others)


def test_float16_gives_the_same_losses_to_a_thousandth(
    data, recordings, tmp_path
):
    folder, wanted = recordings.folder, recordings.losses
    runner = run(distillation(data, tmp_path, recorded(folder / 'float16')))
    assert kd_losses(runner) == pytest.approx(wanted, rel=1e-3)
    sizes = [
        (folder / dtype / 'rank_0.logits').stat().st_size - 4096
        for dtype in ('float16', 'float32')
    ]
    # Six records of 8 bytes and 4 rows; the last one is half as long.
    rows = 5 * 4 + 2
    assert sizes == [6 * 8 + rows * NUM_CLASSES * n for n in (2, 4)]


def test_a_run_with_a_recorded_teacher_can_be_resumed(
    data, recordings, tmp_path
):
    folder = recordings.folder
    config = distillation(data, tmp_path, recorded(folder / 'float32'))
    run(config)
    (tmp_path / 'epoch_2.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    run(config | dict(resume=True))
    own, others = weights(tmp_path), weights(folder / 'plain_run')
    assert all(torch.equal(own[name], others[name]) for name in others)


def test_a_resumed_recording_run_continues_the_student_and_the_recording(
    data, recordings, tmp_path
):
    again = recordings.teacher | dict(
        record_to=str(tmp_path / 'rec'), record_dtype='float32'
    )
    config = distillation(data, tmp_path, again)
    run(config)
    path = tmp_path / 'rec' / 'rank_0.logits'
    whole = path.read_bytes()
    # Interrupted in the fifth of six iterations, after one epoch of three.
    rows = 3 * 4 + 2
    path.write_bytes(whole[: 4096 + 4 * 8 + rows * NUM_CLASSES * 4 + 5])
    (tmp_path / 'epoch_2.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    written = (tmp_path / 'epoch_1.pth').stat().st_mtime_ns
    run(config | dict(resume=True))
    assert (tmp_path / 'epoch_1.pth').stat().st_mtime_ns == written
    assert path.read_bytes() == whole
    own, others = weights(tmp_path), weights(recordings.folder / 'plain_run')
    assert all(torch.equal(own[name], others[name]) for name in others)


def test_another_top_k_in_the_same_folder_is_refused(
    data, recordings, tmp_path
):
    folder = recordings.folder
    again = recordings.teacher | dict(
        record_to=str(folder / 'float16'), record_top_k=2
    )
    with pytest.raises(UserError, match='top_k None, not 2'):
        run(distillation(data, tmp_path, again))


def test_a_folder_without_recording_is_reported(data, tmp_path):
    config = distillation(data, tmp_path, recorded(tmp_path / 'absent'))
    with pytest.raises(UserError, match='holds no recording; record one'):
        run(config)


def test_a_file_in_place_of_the_folder_is_reported(data, tmp_path):
    path = tmp_path / 'rank_0.logits'
    path.touch()
    config = distillation(data, tmp_path / 'work', recorded(path))
    with pytest.raises(UserError, match='is a file; give the folder'):
        run(config)


def test_a_missing_file_of_another_process_is_reported(
    data, recordings, tmp_path, monkeypatch
):
    monkeypatch.setattr(recorded_teacher, 'get_rank', lambda: 1)
    config = distillation(
        data, tmp_path, recorded(recordings.folder / 'float32')
    )
    with pytest.raises(UserError, match='rank_1.logits not found; a') as e:
        run(config)
    assert '\n' not in str(e.value)


def test_damage_is_reported_before_another_training(data, tmp_path):
    header = dict(num_classes=NUM_CLASSES, rows=4, dtype='float32')
    header |= dict(top_k=2, temperature=1.0, fingerprint={})
    folder = tmp_path / 'recording'
    recording = LogitRecording.create(folder / 'rank_0.logits', header)
    recording.write(0, torch.eye(9)[-4:].numpy())
    recording.close()
    with pytest.raises(UserError, match='is damaged: it has logits of class'):
        run(distillation(data, tmp_path, recorded(folder)))


def test_recordings_need_the_hook(data, recordings, tmp_path):
    config = distillation(
        data, tmp_path, recorded(recordings.folder / 'float16')
    )
    config['default_hooks'] = {}
    with pytest.raises(UserError, match='default_hooks.teacher_recording'):
        run(config)


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
        config = distillation(data, tmp_path / kind, config)
        config['model']['loss_kd'] = dict(type='SquaredDifference')
        runner = run(config)
        assert type(runner.model.teacher).__name__.lower() == f'{kind}teacher'
        found.append(kd_losses(runner).tolist())
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 6 and min(found[0]) > 0


def test_top_k_needs_a_loss_with_a_temperature(data, teacher, tmp_path):
    recording = dict(record_to=str(tmp_path / 'rec'), record_top_k=2)
    config = distillation(data, tmp_path / 'run', teacher | recording)
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
        config = distillation(data, tmp_path / 'run', kind)
        config['model']['loss_kd'] = dict(
            type='KLDivergenceLoss', temperature=5.0
        )
        run(config)
    header = LogitRecording.open(tmp_path / 'rec' / 'rank_0.logits').about
    assert header['temperature'] == 5 and header['top_k'] == 2


def test_a_loss_of_every_class_refuses_a_top_k_recording(
    data, teacher, tmp_path
):
    recording = teacher | dict(record_to=str(tmp_path / 'rec'), record_top_k=2)
    run(distillation(data, tmp_path / 'run', recording))
    config = distillation(data, tmp_path / 'run', recorded(tmp_path / 'rec'))
    config['model']['loss_kd'] = dict(type='DISTLoss')
    with pytest.raises(UserError, match='DISTLoss needs the logits of every'):
        run(config)


@pytest.mark.parametrize(
    ('loss', 'message'),
    [
        (
            dict(type='KLDivergenceLoss', temperature=1.0),
            'at temperature 10.0, and holds for it alone, but loss_kd has 1.0',
        ),
        (
            [dict(type='KLDivergenceLoss', temperature=t) for t in (5, 5)],
            'but loss_kd has 5; set its temperature to 10.0',
        ),
        (
            [dict(type='KLDivergenceLoss', temperature=t) for t in (5, 10)],
            'have no common temperature; set it to one value',
        ),
        (dict(type='SquaredDifference'), 'SquaredDifference has no attribute'),
    ],
)
def test_a_top_k_recording_holds_for_its_temperature_alone(
    data, teacher, tmp_path, loss, message
):
    recording = teacher | dict(record_to=str(tmp_path / 'rec'), record_top_k=2)
    run(distillation(data, tmp_path / 'run', recording))
    config = distillation(data, tmp_path / 'run', recorded(tmp_path / 'rec'))
    config['model']['loss_kd'] = loss
    with pytest.raises(UserError, match=message) as e:
        run(config)
    assert '\n' not in str(e.value)


def test_a_recording_of_all_classes_holds_for_any_temperature(
    data, recordings, tmp_path
):
    losses = []
    for kind in (recordings.teacher, recorded(recordings.folder / 'float32')):
        config = distillation(data, tmp_path / 'run', kind)
        config['model']['loss_kd'] = dict(
            type='KLDivergenceLoss', temperature=1.0
        )
        losses.append(kd_losses(run(config)).tolist())
    assert losses[0] == losses[1]


def test_a_recording_whose_header_has_a_temperature_is_continued(
    data, recordings, tmp_path
):
    """As written before the temperature was left out without ``top_k``."""
    new = LogitRecording.open(recordings.folder / 'float32' / 'rank_0.logits')
    assert new.about['temperature'] is None
    path = tmp_path / 'rec' / 'rank_0.logits'
    old = LogitRecording.create(path, new.about | dict(temperature=10.0))
    for i in range(6):
        old.write(i, new.read(i))
    old.close()
    whole = path.read_bytes()
    again = recordings.teacher | dict(
        record_to=str(tmp_path / 'rec'), record_dtype='float32'
    )
    for kind in (again, recorded(tmp_path / 'rec')):
        runner = run(distillation(data, tmp_path / 'run', kind))
        assert kd_losses(runner).tolist() == recordings.losses.tolist()
    assert path.read_bytes() == whole
