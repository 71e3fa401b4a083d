"""Several teachers: the mean of their softened predictions."""

import pytest
import torch
from mmaction.registry import MODELS
from recorded_runs import distillation, kd_losses, recorded
from small_recipe import distiller, run, write_teacher

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import kl_divergence
from dvfl_mmaction.distillation.ensemble_teacher import (
    EnsembleTeacher,
    average_sigmoid,
    average_softmax,
)
from dvfl_mmaction.distillation.teacher import FrozenTeacher, Teacher


@pytest.fixture
def two(tmp_path):
    return [
        write_teacher(tmp_path / 'a.pth', seed=1) | dict(weight=3.0),
        write_teacher(tmp_path / 'b.pth', seed=2),
    ]


@pytest.mark.parametrize(
    ('average', 'link'),
    [
        (average_softmax, lambda x: x.softmax(-1)),
        (average_sigmoid, torch.sigmoid),
    ],
)
def test_the_softened_predictions_are_averaged(average, link):
    torch.manual_seed(0)
    a, b = 9 * torch.randn(2, 5, 4, dtype=torch.float64)
    mean = link(average([a, b], [0.75, 0.25], 5.0) / 5)
    torch.testing.assert_close(mean, 0.75 * link(a / 5) + 0.25 * link(b / 5))
    same = link(average([a, a], [0.5, 0.5], 5.0) / 5)
    torch.testing.assert_close(same, link(a / 5))


@pytest.mark.parametrize('average', [average_softmax, average_sigmoid])
def test_the_average_of_certain_teachers_is_finite(average):
    a = torch.tensor([[400.0, -400.0]])
    assert average([a, a], [0.5, 0.5], 1.0).isfinite().all()


def test_the_target_of_the_loss_is_the_weighted_mean(two, build):
    student = build(distiller(two))
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    members = [m.predict(clips) for m in student.teacher.members]
    parts = [(z / 10).softmax(-1) for z in members]
    mean = 0.75 * parts[0] + 0.25 * parts[1]
    own = torch.randn(2, 4)
    torch.testing.assert_close(
        student.loss_kd(own, student.teacher.logits(clips)),
        kl_divergence(own, 10 * mean.log(), 10.0),
    )
    student.double()
    assert student.teacher.predict(clips.double()).dtype == torch.float64
    assert (
        student.state_dict().keys()
        == build(distiller(two[1])).state_dict().keys()
    )


def test_a_loss_without_a_temperature_gets_the_mean_at_1(two, build):
    student = build(distiller(two, loss_kd=dict(type='WTTMLoss')))
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    parts = [m.predict(clips).softmax(-1) for m in student.teacher.members]
    torch.testing.assert_close(
        student.teacher.predict(clips).softmax(-1),
        0.75 * parts[0] + 0.25 * parts[1],
    )


class Learner(Teacher):
    """A teacher with a state."""

    can_predict = True

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def test_each_teacher_resumes_from_its_own_state():
    first = EnsembleTeacher(
        [Learner({'a': 1}), Learner({}), Learner({'b': 2})], [1] * 3
    )
    second = EnsembleTeacher([Learner(None) for _ in range(3)], [1] * 3)
    second.load_state_dict(first.state_dict())
    assert [m.state for m in second.members] == [{'a': 1}, {}, {'b': 2}]


def test_teachers_are_tested_if_all_of_them_can_predict():
    pairs = [Learner({}), Learner({})], [Learner({}), Teacher()]
    found = [EnsembleTeacher(pair, [1, 1]).can_predict for pair in pairs]
    assert found == [True, False]


def test_a_list_of_one_is_that_teacher(two):
    alone = MODELS.build(distiller(two[:1])).teacher
    assert type(alone) is FrozenTeacher


def test_several_labels_average_the_sigmoids(two, build):
    config = distiller(two)
    config['cls_head'] = config['cls_head'] | dict(multi_class=True)
    student = build(config)
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    parts = [
        (m.predict(clips) / 10).sigmoid() for m in student.teacher.members
    ]
    torch.testing.assert_close(
        (student.teacher.predict(clips) / 10).sigmoid(),
        0.75 * parts[0] + 0.25 * parts[1],
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda two: two[0].update(weight=0), 'teacher.weight is 0'),
        (lambda two: two[0].update(weight=-1.0), 'teacher.weight is -1'),
        (lambda two: two[0].pop('checkpoint'), 'give dict.config=FILE'),
        (lambda two: two.append('base.pth'), 'give dict.config=FILE'),
        (lambda two: two.clear(), r'teacher is \[\]; give dict'),
        (lambda two: two[1].update(wieght=1), 'give dict.config=FILE'),
    ],
)
def test_a_malformed_list_is_refused_in_one_line(two, change, message):
    change(two)
    with pytest.raises(UserError, match=message) as error:
        MODELS.build(distiller(two))
    assert '\n' not in str(error.value)


def test_teachers_of_other_classes_are_refused(two, tmp_path, build):
    two[1] = write_teacher(tmp_path / 'c.pth', num_classes=5)
    with pytest.raises(UserError, match='has 5 classes but the student has 4'):
        build(distiller(two))


def test_each_teacher_is_recorded_on_its_own(data, two, tmp_path):
    recording = [
        dict(t, record_to=str(tmp_path / name), record_dtype='float32')
        for name, t in zip('ab', two, strict=True)
    ]
    replayed = [
        recorded(tmp_path / 'a', weight=3.0),
        recorded(tmp_path / 'b'),
    ]
    losses = [
        kd_losses(run(distillation(data, tmp_path / f'run{i}', teachers)))
        for i, teachers in enumerate((two, recording, replayed))
    ]
    assert losses[0].tolist() == losses[1].tolist() == losses[2].tolist()
