"""Building the frozen teacher, and the interface of all teachers."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import RUNNERS
from mmengine.config import Config
from small_recipe import NUM_CLASSES, distiller, recipe, write_teacher
from small_recognizers import as_released
from torch import nn

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation.clip_format import ClipFormat
from dvfl_mmaction.distillation.teacher import Teacher


class FairTeacher(Teacher):
    """Gives all classes the same logit, and notes the iterations."""

    def __init__(self):
        self.iterations = []

    def begin_iteration(self, iteration):
        self.iterations.append(iteration)

    def logits(self, inputs):
        return torch.zeros(len(inputs), NUM_CLASSES)


def test_a_teacher_needs_only_logits(data, teacher, tmp_path):
    config = recipe(
        distiller(teacher),
        data,
        tmp_path / 'run',
        default_hooks=dict(
            recording=dict(type='TeacherRecordingHook'),
            accuracy=dict(type='TeacherAccuracyHook'),
        ),
    )
    runner = RUNNERS.build(config)
    runner.model.teacher = fair = FairTeacher()
    runner.train()
    assert fair.iterations == list(range(6))  # 2 epochs of 3 batches
    entropies = runner.message_hub.get_scalar('train/teacher_entropy').data[0]
    assert entropies == pytest.approx(1.3862944)  # log 4
    assert copy.deepcopy(runner.model).teacher is fair


def test_the_base_class_predicts_nothing():
    teacher = Teacher()
    assert teacher.is_built and not teacher.can_predict
    for method in (teacher.logits, teacher.predict):
        with pytest.raises(NotImplementedError):
            method(torch.zeros(1))


def test_a_model_in_use_is_frozen(student):
    model = nn.Dropout(0.5).train()
    student.teacher.use_model(model)
    assert student.teacher.model is model and not model.training


def test_a_missing_checkpoint_is_reported_with_two_remedies(
    teacher, tmp_path, build
):
    teacher['checkpoint'] = str(tmp_path / 'gone.pth')
    with pytest.raises(UserError) as error:
        build(distiller(teacher))
    text = str(error.value)
    assert 'gone.pth was not found' in text
    assert 'mim train mmaction2' in text
    assert 'tools/convert_checkpoint.py' in text


def test_a_missing_config_is_refused(teacher, build):
    teacher['config'] = 'configs/gone.py'
    with pytest.raises(UserError, match='teacher.config configs/gone.py'):
        build(distiller(teacher))


def test_other_classes_are_refused(tmp_path, build):
    teacher = write_teacher(tmp_path / 'teacher.pth', num_classes=51)
    with pytest.raises(UserError, match='has 51 classes but the student has'):
        build(distiller(teacher))


def test_a_model_that_takes_no_clips_is_refused(teacher, build):
    head = dict(
        type='OmniHead', image_classes=4, video_classes=4, in_channels=24
    )
    teacher['config'] |= dict(type='RecognizerOmni', cls_head=head)
    with pytest.raises(UserError, match='is a RecognizerOmni; give a'):
        build(distiller(teacher))


def test_a_model_without_classes_is_refused(teacher, build):
    teacher['config'] |= dict(cls_head=dict(type='FeatureHead'))
    with pytest.raises(
        UserError, match='has no classes but the student has 4'
    ):
        build(distiller(teacher))


def test_weights_of_another_class_count_are_refused(teacher, tmp_path, build):
    other = write_teacher(tmp_path / 'other.pth', num_classes=51)
    teacher['checkpoint'] = other['checkpoint']
    with pytest.raises(UserError, match=r'fc_cls.* is \(51.*not \(4'):
        build(distiller(teacher))


@pytest.mark.parametrize(
    'key', ['cls_head.fc_cls.weight', 'backbone.norm.bias']
)
def test_a_missing_weight_is_refused(teacher, key, build):
    checkpoint = torch.load(teacher['checkpoint'], weights_only=True)
    del checkpoint['state_dict'][key]
    torch.save(checkpoint, teacher['checkpoint'])
    with pytest.raises(UserError, match=f'{key} is missing'):
        build(distiller(teacher))


def test_an_unexpected_weight_is_refused(teacher, build):
    checkpoint = torch.load(teacher['checkpoint'], weights_only=True)
    checkpoint['state_dict']['neck.conv'] = torch.zeros(1)
    torch.save(checkpoint, teacher['checkpoint'])
    with pytest.raises(UserError, match='neck.conv is unexpected'):
        build(distiller(teacher))


def test_another_normalisation_is_warned_about(teacher, build, log):
    teacher['config']['data_preprocessor']['mean'] = [0, 0, 0]
    build(distiller(teacher))
    assert 'trained with data_preprocessor.mean=[0.0, 0.0, 0.0]' in log.text


def test_the_options_of_the_teachers_config_are_applied(
    tmp_path, teacher, build
):
    steps = [
        dict(type='UniformSample', clip_len=4),
        dict(type='RandomResizedCrop'),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
    ]
    config = dict(
        model=teacher['config'],
        train_dataloader=dict(dataset=dict(pipeline=steps)),
        clip_size=48,
        clip_len=6,
    )
    Config(config).dump(str(tmp_path / 'teacher.py'))
    teacher['config'] = str(tmp_path / 'teacher.py')
    trained = build(distiller(teacher)).teacher.input.trained
    assert trained == ClipFormat(6, (48, 48))


def test_a_released_file_is_a_teacher(tmp_path, teacher, build):
    weights = torch.load(teacher['checkpoint'])['state_dict']
    torch.save(dict(model=as_released(weights)), tmp_path / 'released.pth')
    clips = torch.randn(2, 1, 3, 4, 32, 32)
    converted = build(distiller(teacher)).teacher.logits(clips)
    teacher['checkpoint'] = str(tmp_path / 'released.pth')
    released = build(distiller(teacher)).teacher.logits(clips)
    assert torch.equal(released, converted)


def test_a_released_teacher_of_other_classes_gives_one_line(
    tmp_path, teacher, build
):
    other = write_teacher(tmp_path / 'other.pth', num_classes=51)
    weights = torch.load(other['checkpoint'])['state_dict']
    torch.save(dict(model=as_released(weights)), tmp_path / 'released.pth')
    teacher['checkpoint'] = str(tmp_path / 'released.pth')
    with pytest.raises(UserError, match='num_classes is 51 in the') as error:
        build(distiller(teacher))
    assert '\n' not in str(error.value)


def test_clips_of_another_part_of_the_video_are_warned_about(
    teacher, build, log
):
    def config(step):
        steps = [dict(step, clip_len=4)]
        return dict(train_dataloader=dict(dataset=dict(pipeline=steps)))

    strided = dict(type='SampleFrames', frame_interval=8)
    uniform = dict(type='UniformSample')
    whole = config(strided) | dict(model=teacher['config'])
    student = build(distiller(teacher | dict(config=whole)))
    unknown = dict(type='OwnSampler')
    for own, warned in ((unknown, False), (strided, False), (uniform, True)):
        log.clear()
        runner = SimpleNamespace(cfg=config(own))
        student.teacher.begin_training(student, runner)
        assert ('clips of 32 frames of the video' in log.text) == warned
    assert 'the student has the whole video' in log.text
