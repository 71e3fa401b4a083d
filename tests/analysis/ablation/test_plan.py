"""Which runs are made, where, and which share a recorded teacher."""

import json
import re
from copy import deepcopy
from pathlib import Path

from mmengine.config import Config

from dvfl_mmaction.analysis.ablation.axes import axes_of
from dvfl_mmaction.analysis.ablation.execution import finished
from dvfl_mmaction.analysis.ablation.plan import (
    count_parameters,
    digest_of,
    folder_name,
    plan_runs,
    why_not_recorded,
    without,
)
from dvfl_mmaction.analysis.ablation.results import collect
from dvfl_mmaction.analysis.ablation.settings import make_settings
from dvfl_mmaction.engine.stream_train_loop import StreamTrainLoop
from dvfl_mmaction.files import write_json


def plan(config, out, seeds=(0, 1), **axes):
    return plan_runs(make_settings(config, axes_of(**axes)), seeds, out)


def test_every_setting_has_a_run_per_seed_after_the_teacher(config, tmp_path):
    runs, notes = plan(config, tmp_path / 'out', alpha=[0.1, 0.9])
    assert notes == []
    assert [run.title for run in runs] == [
        'teacher teacher',
        'kd alpha=0.1 seed 0',
        'kd alpha=0.1 seed 1',
        'kd alpha=0.9 seed 0',
        'kd alpha=0.9 seed 1',
    ]
    assert [run.kind for run in runs] == ['teacher'] + ['distilled'] * 4
    assert runs[0].checkpoint == 't.pth'
    assert {run.teacher for run in runs[1:]} == {runs[0].folder}
    cfg = Config.fromfile(f'{runs[4].folder}/config.py')
    assert cfg.model.alpha == 0.9 and cfg.randomness.seed == 1


def test_runs_that_show_the_same_clips_share_a_recording(config, tmp_path):
    runs, _ = plan(
        config,
        tmp_path / 'out',
        alpha=[0.1, 0.9],
        epochs=[2, 5],
        grid=['train_dataloader.batch_size=2,4'],
    )
    runs = runs[1:]
    shared = {}
    for run in runs:
        key = (run.seed, run.labels['batch_size'])
        shared.setdefault(key, set()).add(run.recording)
    assert [len(folders) for folders in shared.values()] == [1] * 4
    assert len(set.union(*shared.values())) == 4
    assert {run.recorded_epochs for run in runs} == {5}
    folder = Path(runs[0].folder)
    teacher = Config.fromfile(str(folder / 'config.py')).model.teacher
    assert teacher.type == 'RecordedTeacher'
    assert teacher.path == runs[0].recording
    online = Config.fromfile(str(folder / 'online.py')).model.teacher
    assert 'type' not in online and 'path' not in online


def test_a_teacher_that_one_run_uses_is_not_recorded(config, tmp_path):
    runs, _ = plan(config, tmp_path / 'out', alpha=[0.1])
    assert [run.recording for run in runs] == [None] * 3
    teacher = Config.fromfile(f'{runs[1].folder}/config.py').model.teacher
    assert 'type' not in teacher


def test_a_recording_that_exists_is_used_by_a_single_run(config, tmp_path):
    """Its epochs are those of the run that is left."""
    out = tmp_path / 'out'
    first, _ = plan(config, out, seeds=(0,), alpha=[0.1, 0.9], epochs=[2])
    Path(first[1].recording).mkdir(parents=True)
    again, _ = plan(config, out, alpha=[0.1], epochs=[3])
    assert [run.recording for run in again[1:]] == [first[1].recording, None]
    assert [run.recorded_epochs for run in again[1:]] == [3, None]


def test_each_teacher_has_a_test_and_a_recording(config, tmp_path):
    grid = ['model.teacher.checkpoint=a.pth,b.pth']
    runs, _ = plan(config, tmp_path / 'out', (0,), alpha=[0.1, 0.9], grid=grid)
    tests = {run.folder: run for run in runs if run.kind == 'teacher'}
    assert {run.checkpoint for run in tests.values()} == {'a.pth', 'b.pth'}
    recordings = {}
    for run in runs[len(tests) :]:
        used = run.options['model.teacher.checkpoint']
        assert tests[run.teacher].checkpoint == used
        recordings.setdefault(used, set()).add(run.recording)
    assert len(set.union(*recordings.values())) == 2


def test_the_parameters_are_those_of_each_tested_model(config, tmp_path):
    grid = ['model.cls_head.num_classes=4,5']
    runs, _ = plan(config, tmp_path / 'out', (0,), grid=grid)
    students = [run for run in runs if run.kind != 'teacher']
    for run in students:
        cfg = Config.fromfile(f'{run.folder}/config.py')
        assert run.parameters == count_parameters(cfg)
    assert students[0].parameters < students[1].parameters


def test_runs_that_differ_in_an_axis_have_the_same_rest(plain, tmp_path):
    runs, _ = plan(
        plain, tmp_path / 'out', epochs=[1, 2], grid=['clip_len=4,8']
    )
    rests = {
        name: {(run.labels[name], run.axes[name]['rest']) for run in runs}
        for name in ('epochs', 'clip_len')
    }
    for values in rests.values():
        # One rest per value of the other axis, which the seeds share.
        assert len(values) == 4 and len({rest for _, rest in values}) == 2


def test_a_digest_is_of_values_without_seed_and_folder():
    plain = dict(a=5, b=[1, 2])
    for same in (
        dict(b=(1, 2.0), a=5.0),
        dict(plain, work_dir='w'),
        dict(plain, randomness=dict(seed=1)),
    ):
        before = deepcopy(same)
        assert digest_of(same) == digest_of(plain) and same == before
    for other in (
        dict(plain, a=5.5),
        dict(plain, b=[2, 1]),
        dict(plain, randomness=dict(seed=1, deterministic=True)),
    ):
        assert digest_of(other) != digest_of(plain)


def test_the_rest_of_a_config_lacks_the_keys_of_an_axis():
    values = dict(
        model=dict(alpha=1, loss_kd=dict(type='A', weight=2)),
        steps=(dict(end=3, begin=0), dict(end=4)),
        sizes=[7, 8],
    )
    before = deepcopy(values)
    for key, wanted in (
        ('model.alpha', dict(model=dict(loss_kd=values['model']['loss_kd']))),
        ('model.loss_kd.type', dict(model=dict(alpha=1))),
        ('steps.0.end', dict(steps=(dict(begin=0), dict(end=4)))),
        ('sizes.1', dict(sizes=[7, None])),
        ('absent.key', {}),
        ('sizes.first', {}),
    ):
        assert without(values, [key]) == values | wanted
    assert without(values, ['sizes', 'steps']) == dict(model=values['model'])
    assert values == before


def test_a_teacher_that_cannot_be_recorded_is_reported(config, tmp_path):
    grid = ['model.teacher.type=EMATeacher']
    runs, notes = plan(config, tmp_path / 'out', alpha=[0.1, 0.9], grid=grid)
    assert len(notes) == 2 and notes[0].endswith(
        'teacher not shared, it is not one frozen teacher with its weights '
        '(EMATeacher)'
    )
    assert [run.kind for run in runs] == ['distilled'] * 4


def test_a_setting_is_identified_by_its_values(config, tmp_path):
    """Not by the order or the form of the options that set them."""
    out = tmp_path / 'out'
    before, _ = plan(config, out, alpha=[0.1], epochs=[2])
    after, _ = plan(
        config, out, alpha=[0.5], grid=['train_cfg.max_epochs=2,3']
    )
    same, _ = plan(config, out, grid=['epochs=2', 'model.alpha=0.1,0.2'])
    folders = [run.folder for run in before[1:]]
    assert [run.folder for run in same[1:3]] == folders
    assert not {run.folder for run in after} & set(folders)
    changed = Path(config).read_text().replace('lr=0.05', 'lr=0.06')
    Path(config).write_text(changed)
    other, _ = plan(config, out, alpha=[0.1], epochs=[2])
    assert other[1].folder not in folders


def test_only_finished_runs_are_skipped(config, tmp_path):
    runs, _ = plan(config, tmp_path / 'out', alpha=[0.1])
    assert [finished(run) for run in runs] == [None] * 3
    for run, status in zip(runs, ('done', 'failed'), strict=False):
        Path(run.folder, 'run.json').write_text(json.dumps({'status': status}))
    assert [bool(finished(run)) for run in runs] == [True, False, False]


def test_a_finished_default_has_the_labels_of_the_present_grid(
    config, tmp_path
):
    """Alpha 0.3 and temperature 10 are the values of the config."""
    out = tmp_path / 'out'
    before, _ = plan(config, out)
    for run in before[1:]:
        done = run.describe() | dict(status='done', top1=0.5)
        write_json(Path(run.folder, 'run.json'), done)
    grid = dict(alpha=[0.3, 0.5], temperature=[10])
    runs, _ = plan(config, out, seeds=(0,), **grid)
    assert runs[1].folder == before[1].folder and finished(runs[1])
    labels = {'alpha': 0.3, 'temperature': 10}
    for entries in (collect(out, runs), collect(out)):  # it is kept
        assert [entry['seed'] for entry in entries] == [0, 1]
        for entry in entries:
            assert entry['labels'] == labels
            assert entry['name'] == 'kd alpha=0.3 temperature=10'
            assert entry['options'] == runs[1].options
    other, _ = plan(config, out, alpha=[0.7])
    assert collect(out, other) == entries


def test_a_student_alone_has_neither_teacher_nor_recording(plain, tmp_path):
    runs, _ = plan(plain, tmp_path / 'out', epochs=[1, 2])
    assert [run.kind for run in runs] == ['alone'] * 4
    assert {run.recording for run in runs} == {None}
    assert {run.teacher for run in runs} == {None}


def test_a_teacher_is_recorded_in_a_loop_whose_clips_repeat():
    teacher = dict(config='t.py', checkpoint='t.pth')
    cfg = Config(dict(model=dict(teacher=teacher)))
    cfg.train_cfg = dict(type='mmaction.StreamTrainLoop', max_epochs=2)
    assert why_not_recorded(cfg) is None
    cfg.train_cfg.type = StreamTrainLoop
    assert why_not_recorded(cfg) is None
    cfg.train_cfg.type = 'EpochBasedTrainLoop'
    assert "is not 'StreamTrainLoop'" in why_not_recorded(cfg)


def test_only_one_frozen_teacher_with_weights_is_recorded():
    whole = dict(config='t.py', checkpoint='t.pth')
    loop = dict(type='StreamTrainLoop', max_epochs=2)
    for teacher, reason in (
        (whole, '^$'),
        (whole | dict(type='FrozenTeacher'), '^$'),
        (dict(config='t.py'), r'weights \(its config\)'),
        (whole | dict(config=None), 'with its weights'),
        (whole | dict(record_to='folder'), 'with its weights'),
        ([whole], r'weights \(several\)'),
    ):
        cfg = Config(dict(model=dict(teacher=teacher), train_cfg=loop))
        assert re.search(reason, why_not_recorded(cfg) or '')
    by_iterations = dict(type='StreamTrainLoop', max_iters=2)
    cfg = Config(dict(model=dict(teacher=whole), train_cfg=by_iterations))
    assert 'counts iterations' in why_not_recorded(cfg)


def test_a_teacher_without_test_data_is_not_tested(config, plain, tmp_path):
    cfg = Config.fromfile(plain)
    Config(dict(model=cfg.model)).dump(plain)
    runs, _ = plan(config, tmp_path / 'out', alpha=[0.1])
    assert [run.kind for run in runs] == ['distilled'] * 2
    assert {run.teacher for run in runs} == {None}


def test_a_teacher_is_tested_on_the_students_lists(config, plain, tmp_path):
    """One or several; decoded and resized as for the teacher."""
    cfg = Config.fromfile(config)
    dataset = cfg.test_dataloader.dataset
    dataset.update(ann_file='other.txt', delimiter=',')
    wanted = Config.fromfile(plain).test_dataloader.dataset.pipeline
    dataset.pipeline = dataset.pipeline[1:]
    several = dict(
        type='ConcatDataset', datasets=[dataset, dict(dataset, ann_file='b')]
    )
    own = Config.fromfile(plain)
    wrapped = deepcopy(own)
    wrapped.test_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[own.test_dataloader.dataset]
    )
    for given, teacher in (
        (dataset, own),
        (several, own),
        (dataset, wrapped),
    ):
        teacher.dump(plain)
        cfg.test_dataloader.dataset = given
        cfg.dump(config)
        runs, _ = plan(config, tmp_path / 'out', alpha=[0.1])
        written = Config.fromfile(f'{runs[0].folder}/config.py')
        found = written.test_dataloader.dataset
        parts = found.get('datasets', [found])
        names = ['other.txt'] if given is dataset else ['other.txt', 'b']
        assert [part.ann_file for part in parts] == names
        assert {part.delimiter for part in parts} == {','}
        assert all(part.pipeline == wanted for part in parts)


def test_a_teachers_own_layout_does_not_stay(config, plain, tmp_path):
    """The student's list has the default delimiter and folder."""
    cfg = Config.fromfile(plain)
    cfg.test_dataloader.dataset.update(
        delimiter=',', data_prefix=dict(video='videos')
    )
    cfg.dump(plain)
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.pop('data_prefix', None)
    cfg.dump(config)
    runs, _ = plan(config, tmp_path / 'out', alpha=[0.1])
    written = Config.fromfile(f'{runs[0].folder}/config.py')
    dataset = written.test_dataloader.dataset
    assert not {'delimiter', 'data_prefix'} & dataset.keys()


def test_a_long_name_in_another_script_fits_a_file_system(tmp_path):
    name = folder_name('kd fold=' + '折' * 200, '0123456789')
    (tmp_path / name).mkdir()
    assert name.startswith('kd_fold=折折') and name.endswith('折-0123456789')
    assert folder_name('a' * 200, '0') == 'a' * 100 + '-0'
