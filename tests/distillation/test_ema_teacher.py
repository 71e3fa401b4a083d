"""The student's moving average as its teacher."""

import copy

import pytest
import torch
from mmaction.registry import MODELS
from recorded_runs import distillation, kd_losses
from small_recipe import distiller, recipe, recognizer, run

from dvfl_mmaction import UserError

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


def test_a_run_without_the_hook_is_refused(data, tmp_path):
    with pytest.raises(UserError, match='teacher_recording=dict'):
        run(recipe(distiller(EMA), data, tmp_path))


def test_resuming_a_run_of_another_teacher_is_refused(build):
    student = build(distiller(EMA))
    with pytest.raises(UserError, match='has no EMATeacher; resume with'):
        student.teacher.load_state_dict({})


@pytest.mark.parametrize('momentum', [0, 1, -0.1, 2.0, float('nan')])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(UserError, match='momentum is .* above 0 and below 1'):
        MODELS.build(distiller(EMA | dict(momentum=momentum)))


def test_it_cannot_be_recorded(tmp_path):
    with pytest.raises(UserError, match='record_to.* optionally momentum'):
        MODELS.build(distiller(EMA | dict(record_to=str(tmp_path))))
