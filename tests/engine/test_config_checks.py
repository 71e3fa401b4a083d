"""What the runner says before it builds, and how it says it."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import HOOKS, MODELS, RUNNERS
from mmengine.logging import MMLogger
from small_recipe import (
    distiller,
    recipe,
    recognizer,
    run,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation.teacher_accuracy_hook import (
    chance_reaches,
    preserve_rng_state,
)
from dvfl_mmaction.engine.config_checks import (
    check_classes,
    check_colors,
    check_keys,
    needed_paths,
)
from dvfl_mmaction.errors import one_line


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('clips'), clips_per_class=2)


@pytest.mark.parametrize(
    'key, meant',
    [
        ('train_cgf', 'train_cfg'),
        ('param_schedulers', 'param_scheduler'),
        ('optim_wraper', 'optim_wrapper'),
        ('custom_hook', 'custom_hooks'),
    ],
)
def test_a_misspelt_key_is_refused(key, meant):
    with pytest.raises(UserError, match=f"'{key}' .* did you mean '{meant}'"):
        check_keys({'model': {}, key: {}})


def test_keys_of_the_users_own_are_kept():
    own = ('train_pipeline', 'num_classes', 'data_root', 'clip_len', 'lr')
    check_keys(dict.fromkeys(own))


def test_class_counts_that_differ_are_refused():
    model = dict(
        cls_head=dict(num_classes=10),
        data_preprocessor=dict(blending=dict(num_classes=101)),
    )
    with pytest.raises(UserError, match='is 10 but .*blending.* is 101'):
        check_classes(dict(model=model))
    model['data_preprocessor']['blending'] = None
    check_classes(dict(model=model))
    check_classes(dict(model=dict(cls_head=dict(num_classes=10))))


def test_colours_that_nobody_would_change_are_refused():
    steps = [
        dict(type='ClipColorJitter', deferred=True),
        dict(type='PackActionInputs', meta_keys=('color_changes',)),
    ]
    cfg = dict(
        model=dict(data_preprocessor=dict(type='ClipDataPreprocessor')),
        train_dataloader=dict(dataset=dict(pipeline=steps)),
    )
    check_colors(cfg)
    cfg['model']['data_preprocessor']['type'] = 'ActionDataPreprocessor'
    with pytest.raises(UserError, match='set its type to Clip'):
        check_colors(cfg)
    steps[0]['deferred'] = False
    check_colors(cfg)
    cfg['model']['data_preprocessor']['type'] = 'ClipDataPreprocessor'
    steps[0]['deferred'] = True
    del steps[1]['meta_keys']
    with pytest.raises(UserError, match='drops its draws'):
        check_colors(cfg)


def test_wrapped_data_sets_are_looked_into():
    leaf = dict(
        type='VideoDataset',
        ann_file='train.txt',
        data_root='/data',
        data_prefix=dict(video='videos'),
    )
    other = dict(ann_file='/else/list.txt', data_prefix=dict(video=''))
    wrapped = dict(
        type='RepeatDataset',
        dataset=dict(type='ConcatDataset', datasets=[leaf, other]),
    )
    assert [str(p) for p in needed_paths(wrapped)] == [
        '/data/train.txt',
        '/data/videos',
        '/else/list.txt',
    ]


def test_what_is_on_no_disk_is_not_looked_for():
    leaf = dict(
        data_root='s3://bucket/ucf101',
        ann_file='/lists/train.txt',
        data_prefix=dict(video='videos'),
    )
    assert list(needed_paths(leaf)) == [Path('/lists/train.txt')]
    leaf |= dict(data_root='/data', data_prefix=dict(video='s3://bucket'))
    assert list(needed_paths(leaf)) == [Path('/lists/train.txt')]


def test_missing_data_is_told_before_a_model_is_built(tmp_path):
    config = recipe(
        dict(type='NoSuchModel'), tmp_path / 'gone', tmp_path / 'work'
    )
    config['prepare_command'] = 'python tools/prepare_dataset.py mine'
    with pytest.raises(UserError) as error:
        RUNNERS.build(config)
    assert str(tmp_path / 'gone' / 'list.txt') in str(error.value)
    assert 'python tools/prepare_dataset.py mine' in str(error.value)
    assert not (tmp_path / 'work').exists()


def test_missing_videos_are_told_too(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    config['val_dataloader']['dataset']['data_prefix'] = dict(video='gone')
    with pytest.raises(UserError, match=f'val_dataloader reads {data}/gone'):
        RUNNERS.build(config)


def test_testing_asks_for_test_data_alone(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path, load_from=None)
    torch.save(
        dict(state_dict=MODELS.build(recognizer()).state_dict()),
        tmp_path / 'net.pth',
    )
    config['load_from'] = str(tmp_path / 'net.pth')
    config['train_dataloader']['dataset']['ann_file'] = 'gone.txt'
    assert 'acc/top1' in RUNNERS.build(config).test()
    config['experiment_name'] = 'training'
    with pytest.raises(UserError, match='train_dataloader reads'):
        RUNNERS.build(config).train()


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def test_a_users_mistake_is_explained_in_one_line():
    assert one_line(UserError('came\n  wanted')) == 'came wanted'


def test_a_misspelt_argument_is_explained(tmp_path):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    error = caught(lambda: MODELS.build(distiller(teacher, alhpa=0.5)))
    assert one_line(error) == (
        "DistillRecognizer3D has no argument 'alhpa'; did you mean 'alpha'?"
    )


def test_a_misspelt_type_is_explained():
    error = caught(lambda: MODELS.build(dict(type='VideoFocalNett')))
    assert one_line(error) == (
        "type 'VideoFocalNett' is not registered; did you mean "
        "'VideoFocalNet'?"
    )


def test_a_misspelt_option_of_the_loader_is_explained(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    config['train_dataloader']['batchsize'] = config['train_dataloader'].pop(
        'batch_size'
    )
    config['train_dataloader']['batch_size'] = 2
    error = caught(lambda: RUNNERS.build(config).train())
    assert "unexpected keyword argument 'batchsize'" in one_line(error)


def test_a_fault_of_the_programs_keeps_its_traceback():
    def faulty():
        return dict(a=1)['b']

    assert one_line(caught(faulty)) is None
    assert one_line(caught(lambda: sorted([1, 'a']))) is None
    assert one_line(caught(lambda: sorted([1], kee=1))) is None


@pytest.mark.parametrize('show', ['0', '1'])
def test_an_uncaught_mistake_prints_one_line(show):
    code = (
        'from dvfl_mmaction import UserError\n'
        'from dvfl_mmaction.errors import print_user_errors\n'
        'print_user_errors(); print_user_errors()\n'
        "raise UserError('alpha is 2; give 0 to 1')\n"
    )
    out = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env=os.environ | dict(DVFL_TRACEBACK=show),
    )
    assert out.returncode == 1
    lines = out.stderr.strip().splitlines()
    assert lines[-1] == 'error: alpha is 2; give 0 to 1'
    assert ('Traceback' in out.stderr) == (show == '1')
    assert len(lines) == 1 or show == '1'


def test_chance_by_hand():
    # two clips, four classes: one right or more, 1 - (3/4)^2
    assert chance_reaches(1, 2, 0.25) == pytest.approx(7 / 16)
    assert chance_reaches(0, 5, 0.1) == pytest.approx(1)
    assert chance_reaches(3, 3, 0.5) == pytest.approx(1 / 8)


def test_random_state_is_left_as_it_was():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with preserve_rng_state():
        torch.rand(7)
    assert torch.equal(torch.rand(2), expected)


class Oracle:
    """A teacher's answers, right on ``share`` of the clips."""

    def __init__(self, labels, wrong):
        self.labels, self.wrong, self.asked = labels, wrong, 0

    def answer(self, inputs):
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
    data, tmp_path, caplog, wrong, text, warned
):
    runner = RUNNERS.build(recipe(recognizer(), data, tmp_path))
    runner._val_loop = runner.build_val_loop(runner._val_loop)
    dataset = runner.val_loop.dataloader.dataset
    labels = [dataset.get_data_info(i)['label'] for i in range(len(dataset))]
    student = SimpleNamespace(
        data_preprocessor=runner.model.data_preprocessor,
        cls_head=runner.model.cls_head,
        teacher=Oracle(labels, wrong),
    )
    hook = HOOKS.build(dict(type='TeacherAccuracyHook'))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    hook.before_train(
        SimpleNamespace(model=student, val_loop=runner.val_loop, logger=logger)
    )
    logger.removeHandler(caplog.handler)
    assert f'teacher: {text} validation clips' in caplog.text
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert any('at chance' in r.message for r in warnings) == warned


def test_the_hook_tries_the_real_teacher(data, tmp_path):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    config = recipe(distiller(teacher), data, tmp_path / 'work')
    config['default_hooks']['teacher'] = dict(type='TeacherAccuracyHook')
    config['train_cfg']['max_epochs'] = 1
    run(config)
    (log,) = (tmp_path / 'work').glob('*/*.log')
    assert 'on 8 validation clips' in log.read_text()
