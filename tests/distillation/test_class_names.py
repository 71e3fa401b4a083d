"""Classes of teacher and student are compared by name."""

import pytest
import torch
from mmaction.registry import RUNNERS
from recorded_runs import HOOKS
from small_recipe import distiller, recipe, recognizer, run

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation.class_names import (
    configured_class_names,
    match_classes,
    read_class_names,
)

NAMES = ['jump', 'run', 'sit', 'walk']
OTHERS = ['sit', 'jump', 'walk', 'run']


@pytest.mark.parametrize(
    ('teacher', 'student', 'wanted'),
    [
        (NAMES, NAMES, None),
        (None, NAMES, None),
        (NAMES, None, None),
        (OTHERS, NAMES, [1, 3, 0, 2]),
        (['a', 'a'], ['a', 'a'], None),
        (['a', 'a', 'b'], ['a', 'b', 'a'], None),
    ],
)
def test_places_of_the_students_classes(teacher, student, wanted):
    assert match_classes(teacher, student, 'T') == wanted


def test_other_classes_are_refused():
    with pytest.raises(
        UserError, match="T has other classes .* lacks 1 of 4, such as 'fly'"
    ):
        match_classes(NAMES, [*NAMES[:3], 'fly'], 'T')


def test_names_stand_in_the_config_or_beside_the_list(tmp_path):
    (tmp_path / 'classes.txt').write_text('\ufeffa\nb\n', encoding='utf-8')
    dataset = dict(
        type='ClipDataset', data_root=str(tmp_path), ann_file='list.txt'
    )
    config = dict(train_dataloader=dict(dataset=dataset))
    assert configured_class_names(config) == ['a', 'b']
    dataset['metainfo'] = dict(classes=('c', 'd'))
    assert configured_class_names(config) == ['c', 'd']
    assert configured_class_names(dict(type='Recognizer3D')) is None


def test_blank_lines_at_the_end_name_no_class(tmp_path):
    path = tmp_path / 'classes.txt'
    path.write_text('a\n\nc\n\n  \n')
    assert read_class_names(path) == ['a', '', 'c']


def test_names_in_another_encoding_are_refused_before_a_run(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    for mode in ('train', 'val', 'test'):
        dataset = config[f'{mode}_dataloader']['dataset']
        dataset['data_prefix'] = dict(video=str(data))
        dataset.update(data_root='', ann_file=str(tmp_path / 'list.txt'))
    (tmp_path / 'list.txt').write_text((data / 'list.txt').read_text())
    runner = RUNNERS.build(config)
    (tmp_path / 'classes.txt').write_bytes('für\n'.encode('latin-1'))
    message = f'{tmp_path}/classes.txt is not a list of class names: .* UTF-8'
    for act in (runner.train, runner.test):
        with pytest.raises(UserError, match=message):
            act()
    with pytest.raises(UserError, match=message):
        RUNNERS.build(config)


def with_names(teacher, names):
    """The teacher with class names in the meta of its checkpoint."""
    checkpoint = torch.load(teacher['checkpoint'], weights_only=True)
    checkpoint['meta'] = dict(dataset_meta=dict(classes=tuple(names)))
    torch.save(checkpoint, teacher['checkpoint'])
    return teacher


def training(teacher, data, folder, hook):
    config = recipe(distiller(teacher), data, folder)
    config['train_dataloader']['dataset']['metainfo'] = dict(classes=NAMES)
    config['default_hooks'][hook] = HOOKS[hook]
    config['train_cfg']['max_epochs'] = 1
    return config


@pytest.mark.parametrize('hook', ['teacher_recording', 'teacher_accuracy'])
def test_a_teacher_of_another_order_is_reordered(
    data, teacher, tmp_path, hook
):
    teacher = with_names(teacher, OTHERS)
    runner = run(training(teacher, data, tmp_path, hook))
    frozen = runner.model.teacher
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    logits = frozen.predict(clips)
    frozen.class_order = None
    own = frozen.predict(clips)
    for place, name in enumerate(NAMES):
        assert torch.equal(logits[:, place], own[:, OTHERS.index(name)])
    (text,) = [path.read_text() for path in tmp_path.glob('*/*.log')]
    assert "its first is 'sit', not 'jump'" in text


def test_a_teacher_of_other_classes_ends_the_run(data, teacher, tmp_path):
    teacher = with_names(teacher, [*NAMES[:3], 'fly'])
    with pytest.raises(UserError, match="lacks 1 of 4, such as 'walk'"):
        run(training(teacher, data, tmp_path, 'teacher_recording'))


@pytest.mark.parametrize('names', [NAMES[:3], [*NAMES, 'other']])
def test_names_in_another_number_than_the_classes_are_ignored(
    data, teacher, tmp_path, names
):
    config = training(
        with_names(teacher, OTHERS), data, tmp_path, 'teacher_recording'
    )
    dataset = config['train_dataloader']['dataset']
    dataset['metainfo'] = dict(classes=names)
    assert run(config).model.teacher.class_order is None
    (text,) = [path.read_text() for path in tmp_path.glob('*/*.log')]
    assert f'has {len(names)} class names for 4 classes' in text


def test_names_of_a_teacher_in_another_number_are_ignored(teacher, build):
    student = build(distiller(with_names(teacher, [*OTHERS, 'fly'])))
    student.teacher.match_classes(NAMES)
    assert student.teacher.class_order is None
