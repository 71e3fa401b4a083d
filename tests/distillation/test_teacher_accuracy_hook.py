"""The teacher's accuracy is logged before the student trains."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import HOOKS, RUNNERS
from mmaction.structures import ActionDataSample
from mmengine.logging import MMLogger
from small_recipe import distiller, recipe, recognizer, run, write_dataset

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation.teacher import Teacher
from dvfl_mmaction.distillation.teacher_accuracy_hook import (
    chance_reaches,
    count_hits,
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """8 clips."""
    return write_dataset(tmp_path_factory.mktemp('clips'), clips_per_class=2)


def test_chance_by_hand():
    # two clips, four classes: one right or more, 1 - (3/4)^2
    assert chance_reaches(1, 2, 0.25) == pytest.approx(7 / 16)
    assert chance_reaches(0, 5, 0.1) == pytest.approx(1)
    assert chance_reaches(3, 3, 0.5) == pytest.approx(1 / 8)


def test_chance_is_the_sum_over_few_clips():
    for total, p in [(1, 0.5), (7, 0.3), (32, 0.01), (32, 1.0)]:
        for hits in range(total + 1):
            wanted = sum(
                math.comb(total, k) * p**k * (1 - p) ** (total - k)
                for k in range(hits, total + 1)
            )
            assert chance_reaches(hits, total, p) == pytest.approx(wanted)


@pytest.mark.parametrize('total', [1100, 19906])
def test_chance_of_many_clips_is_known(total):
    assert chance_reaches(0, total, 0.01) == 1
    half = chance_reaches(total // 2, total, 0.5)
    assert 0.5 < half < 0.52
    assert chance_reaches(total, total, 0.01) < 1e-300


class Oracle(Teacher):
    """A teacher that is wrong only on the chosen clips."""

    can_predict = True

    def __init__(self, labels, wrong):
        self.labels, self.wrong, self.asked = labels, wrong, 0

    def predict(self, inputs):
        rows = []
        for _ in range(len(inputs)):
            label = self.labels[self.asked]
            right = self.asked not in self.wrong
            self.asked += 1
            rows.append(torch.eye(4)[label if right else (label + 1) % 4] * 10)
        return torch.stack(rows)


@pytest.mark.parametrize(
    'wrong, text, warned',
    [
        ((), 'top-1 100.0% on 8', False),
        ((1, 5), 'top-1 75.0% on 8', False),
        ((0, 1, 2, 4, 6, 7), 'top-1 25.0% on 8', True),
    ],
)
def test_the_teachers_accuracy_is_logged(
    data, teacher, tmp_path, caplog, wrong, text, warned
):
    runner = RUNNERS.build(recipe(distiller(teacher), data, tmp_path))
    runner.logger.addHandler(caplog.handler)
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    dataset = runner.val_loop.dataloader.dataset
    labels = [dataset.get_data_info(i)['label'] for i in range(len(dataset))]
    runner.model.teacher = Oracle(labels, wrong)
    HOOKS.build(dict(type='TeacherAccuracyHook')).before_train(runner)
    assert f'teacher: {text} validation clips' in caplog.text
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert any('at chance' in r.message for r in warnings) == warned


@pytest.mark.parametrize('labels, warned', [('0', False), ('0 1', True)])
def test_chance_counts_all_labels_of_a_clip(
    data, teacher, tmp_path, caplog, labels, warned
):
    # 6 of 8 right by chance: 0.004 with one of 4 classes, 0.14 with two.
    names = [line.split()[0] for line in (data / 'list.txt').open()]
    path = tmp_path / 'several.txt'
    path.write_text(''.join(f'{name} {labels}\n' for name in names))
    config = recipe(distiller(teacher), data, tmp_path)
    config['val_dataloader']['dataset'].update(
        ann_file=str(path), multi_class=True
    )
    runner = RUNNERS.build(config)
    runner.logger.addHandler(caplog.handler)
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    runner.model.teacher = Oracle([int(labels[-1])] * 8, wrong=(2, 5))
    HOOKS.build(dict(type='TeacherAccuracyHook')).before_train(runner)
    assert 'top-1 75.0% on 8 validation clips' in caplog.text
    assert ('at chance' in caplog.text) == warned


class Clips:
    """Ten clips of class 0, of which one is broken."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 10

    def __getitem__(self, index):
        self.read.append(index)
        sample = ActionDataSample().set_gt_label(0)
        sample.set_metainfo(dict(broken=('b.mp4',) if index == 5 else ()))
        return dict(inputs=torch.zeros(1), data_samples=sample)


def test_the_clips_are_spread_over_the_list():
    """Lists are often sorted by class."""
    student = SimpleNamespace(
        data_preprocessor=lambda batch, training: batch,
        teacher=SimpleNamespace(
            predict=lambda clips: torch.tensor([[1.0, 0.0]] * len(clips))
        ),
    )
    loader = SimpleNamespace(dataset=Clips(), batch_size=2)
    assert count_hits(student, loader, num_clips=4) == (3, 3, 0.5)
    assert loader.dataset.read == [0, 2, 5, 7]


def test_the_hook_tests_the_real_teacher(data, teacher, tmp_path):
    config = recipe(distiller(teacher), data, tmp_path / 'work')
    config['default_hooks']['teacher'] = dict(type='TeacherAccuracyHook')
    config['train_cfg']['max_epochs'] = 1
    run(config)
    (log,) = (tmp_path / 'work').glob('*/*.log')
    assert 'on 8 validation clips' in log.read_text()


def test_a_teacher_that_cannot_predict_is_not_tested(student, caplog):
    student.teacher = Teacher()
    runner = SimpleNamespace(
        model=student,
        cfg={},
        train_dataloader=SimpleNamespace(dataset=[]),
        val_loop=object(),
        logger=MMLogger.get_instance('mm'),
    )
    runner.logger.addHandler(caplog.handler)
    HOOKS.build(dict(type='TeacherAccuracyHook')).before_train(runner)
    assert 'teacher: not tested' in caplog.text


@pytest.mark.parametrize('is_main', [True, False])
def test_classes_are_ordered_in_every_process(student, monkeypatch, is_main):
    """Also without validation clips, on which only the first one tests."""
    monkeypatch.setattr(
        'mmengine.dist.utils.is_main_process', lambda *_: is_main
    )
    matched = []
    monkeypatch.setattr(student.teacher, 'match_classes', matched.append)
    dataset = SimpleNamespace(metainfo=dict(classes=('run', 'sit')))
    runner = SimpleNamespace(
        model=student,
        train_dataloader=SimpleNamespace(dataset=dataset),
        val_loop=None,
        logger=MMLogger.get_instance('mm'),
    )
    HOOKS.build(dict(type='TeacherAccuracyHook')).before_train(runner)
    assert matched == [['run', 'sit']]


def test_a_test_on_no_clip_is_refused():
    with pytest.raises(UserError, match='num_clips is 0; give 1 or more'):
        HOOKS.build(dict(type='TeacherAccuracyHook', num_clips=0))


def test_a_model_without_a_teacher_is_refused(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    config['default_hooks']['teacher'] = dict(type='TeacherAccuracyHook')
    with pytest.raises(UserError, match='no teacher; remove it from default'):
        run(config)
