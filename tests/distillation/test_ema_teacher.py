"""The student's moving average as its teacher."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import MODELS
from recorded_runs import HOOKS, distillation, kd_losses
from small_recipe import distiller, recipe, recognizer, run

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import TeacherRecordingHook

EMA = dict(type='EMATeacher', momentum=0.25)


def test_it_starts_as_the_student_and_follows_it(build):
    student = build(distiller(EMA))
    key = 'cls_head.fc_cls.weight'
    weight = student.state_dict()[key]
    weight.fill_(8.0)  # weights that are loaded after the teacher is built
    average = student.teacher
    for iteration, (value, wanted) in enumerate(
        [(8.0, 8.0), (4.0, 7.0), (3.0, 6.0)]
    ):
        weight.fill_(value)
        average.begin_iteration(iteration)
        held = average.average.module.state_dict()[key]
        assert (held == wanted).all()
    assert not average.average.module.training
    assert not any(
        p.requires_grad for p in average.average.module.parameters()
    )


def test_a_student_of_one_update_has_no_divergence(build):
    student = build(distiller(EMA))
    student.teacher.begin_iteration(0)
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    logits = student.eval()(clips, stage='head')
    torch.testing.assert_close(student.teacher.logits(clips), logits)


def test_the_state_dict_holds_only_the_student(build):
    student = build(distiller(EMA))
    plain = MODELS.build(recognizer())
    assert student.state_dict().keys() == plain.state_dict().keys()
    student.double()
    module = student.teacher.average.module
    assert next(module.parameters()).dtype == torch.float64
    copy.deepcopy(student).double()


def test_a_resumed_run_equals_an_uninterrupted_one(data, tmp_path):
    whole = run(distillation(data, tmp_path / 'whole', EMA))
    cut = distillation(data, tmp_path / 'cut', EMA)
    cut['train_cfg']['max_epochs'] = 1
    run(cut)
    cut['train_cfg']['max_epochs'] = 2
    resumed = run(cut | dict(resume=True))
    saved = [
        torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)
        for name in ('whole', 'cut')
    ]
    plain = MODELS.build(recognizer()).state_dict()
    for checkpoint in saved:
        assert checkpoint['state_dict'].keys() == plain.keys()
        state = checkpoint['teacher_state']
        assert state['state_dict'].keys() == plain.keys()
        assert state['steps'] == 6  # before each of 2 epochs of 3 batches
    for key in plain:
        for states in (
            [s['state_dict'] for s in saved],
            [s['teacher_state']['state_dict'] for s in saved],
        ):
            assert torch.equal(states[0][key], states[1][key]), key
    losses = [kd_losses(runner).tolist() for runner in (whole, resumed)]
    assert losses[0] == losses[1]
    assert losses[0][0] < losses[0][-1]
    key = 'cls_head.fc_cls.weight'
    assert not torch.equal(
        saved[0]['state_dict'][key],
        saved[0]['teacher_state']['state_dict'][key],
    )


def trained_by(data, work_dir, accumulate):
    """Weights of a run of 10 steps of 2 clips, and its teacher's state."""
    config = recipe(distiller(EMA), data, work_dir, default_hooks=HOOKS)
    config['train_dataloader']['batch_size'] = 2 // accumulate
    config['optim_wrapper'].update(accumulative_counts=accumulate)
    config['train_cfg']['val_interval'] = 99
    run(config)
    saved = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    return saved['state_dict'], saved['teacher_state']


def test_accumulated_batches_are_one_update(data, tmp_path):
    whole, accumulated = (
        trained_by(data, tmp_path / str(n), accumulate=n) for n in (1, 2)
    )
    assert whole[1]['steps'] == accumulated[1]['steps'] == 10
    for one, two in (
        (whole[0], accumulated[0]),
        (whole[1]['state_dict'], accumulated[1]['state_dict']),
    ):
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=0, atol=1e-6)


def test_a_resumed_run_counts_the_steps_alike(data, tmp_path):
    """Resumed between the two accumulated batches of a step."""
    hooks = HOOKS | dict(
        checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)
    )
    config = distillation(data, tmp_path, EMA) | dict(default_hooks=hooks)
    config['optim_wrapper'].update(accumulative_counts=2)
    config['train_cfg']['val_interval'] = 99
    run(config)
    states = [
        torch.load(tmp_path / f'iter_{i}.pth', weights_only=True)
        for i in (3, 4, 6)
    ]
    # Before iterations 0, 2 and 4.
    assert [s['teacher_state']['steps'] for s in states] == [2, 2, 3]
    middle = str(tmp_path / 'iter_3.pth')
    again = dict(
        load_from=middle, resume=True, work_dir=str(tmp_path / 'again')
    )
    run(config | again)
    resumed = torch.load(tmp_path / 'again/iter_6.pth', weights_only=True)
    assert resumed['teacher_state']['steps'] == 3


def test_a_run_without_the_hook_is_refused(data, tmp_path):
    with pytest.raises(UserError, match='teacher_recording=dict'):
        run(recipe(distiller(EMA), data, tmp_path))


def test_only_a_resumed_run_restores_the_average(build):
    student = build(distiller(EMA))
    student.teacher.begin_iteration(0)
    checkpoint = dict(teacher_state=student.teacher.state_dict())
    student = build(distiller(EMA))
    hook = TeacherRecordingHook()
    for resume in (False, True):
        runner = SimpleNamespace(model=student, _resume=resume)
        hook.after_load_checkpoint(runner, checkpoint)
        assert student.teacher.state_dict()['steps'] == resume
    runner._resume = False  # weights of a run without this teacher
    hook.after_load_checkpoint(runner, {})


@pytest.mark.parametrize('of_several', [False, True])
def test_resuming_a_run_of_another_teacher_is_refused(build, of_several):
    student = build(distiller(EMA))
    state = {1: student.teacher.state_dict()} if of_several else {}
    with pytest.raises(UserError, match='has no EMATeacher; resume with'):
        student.teacher.load_state_dict(state)


@pytest.mark.parametrize('momentum', [0, 1, -0.1, 2.0, float('nan')])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(UserError, match='momentum is .* above 0 and below 1'):
        MODELS.build(distiller(EMA | dict(momentum=momentum)))


def test_it_cannot_be_recorded(tmp_path):
    with pytest.raises(UserError, match='record_to.* momentum; .*_delete_'):
        MODELS.build(distiller(EMA | dict(record_to=str(tmp_path))))
