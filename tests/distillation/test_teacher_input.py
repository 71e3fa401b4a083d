"""The student's clips in the format of the teacher, by hand."""

import itertools

import pytest
import torch
from fake_cuda import DEVICE, fake_cuda, to_fake_cuda
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope
from small_recipe import distiller, recognizer, write_teacher
from torch.testing import assert_close

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation.clip_format import ClipFormat
from dvfl_mmaction.distillation.teacher_input import (
    TeacherInput,
    resample_frames,
    resize_frames,
)

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
KINETICS = dict(mean=[114.75, 114.75, 114.75], std=[57.38, 57.38, 57.38])


def plane(model: dict) -> dict:
    """The same for a 2D recognizer."""
    model = dict(
        model,
        type='Recognizer2D',
        backbone=dict(type='ResNet', depth=18),
        cls_head=dict(type='TSNHead', num_classes=4, in_channels=512),
    )
    model['data_preprocessor'] = dict(
        model['data_preprocessor'], format_shape='NCHW'
    )
    return model


@pytest.fixture(scope='module')
def built():
    """Recognizers by dimensions, built once."""
    init_default_scope('mmaction')
    return {
        '3d': MODELS.build(recognizer()),
        '2d': MODELS.build(plane(recognizer())),
    }


def with_colors(model: dict, **colors):
    """A recognizer with other arguments of the data preprocessor."""
    model = dict(model)
    model['data_preprocessor'] = model['data_preprocessor'] | colors
    return MODELS.build(model)


def clips(layout='3d', frames=4, size=(6, 6), channels=3, batch=2, views=1):
    torch.manual_seed(0)
    clips = torch.randn(batch, views, channels, frames, *size)
    return clips if layout == '3d' else clips[:, 0].transpose(1, 2)


@pytest.mark.parametrize(
    ('given', 'wanted', 'indices'),
    [
        (8, 4, [1, 3, 5, 7]),
        (4, 8, [0, 0, 1, 1, 2, 2, 3, 3]),
        (8, 16, [i // 2 for i in range(16)]),
        (5, 3, [0, 2, 4]),
        (3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
        (7, 1, [3]),
    ],
)
def test_the_frame_at_the_middle_of_each_part_is_taken(given, wanted, indices):
    numbers = torch.arange(given).view(1, 1, given, 1, 1)
    assert resample_frames(numbers, wanted).flatten().tolist() == indices


def test_enlarged_pixels_are_bilinear():
    row = torch.tensor([0.0, 8.0]).view(1, 1, 1, 1, 2).expand(1, 1, 1, 2, 2)
    # Output pixel i is at (i + 1/2) / 2 - 1/2 of the input, kept inside.
    wanted = torch.tensor([0.0, 2.0, 6.0, 8.0]).expand(4, 4)
    assert_close(resize_frames(row, (4, 4))[0, 0, 0], wanted)


def test_shrunk_pixels_average_a_triangle_of_their_size():
    row = torch.tensor([0.0, 0.0, 8.0, 0.0, 0.0, 0.0]).expand(1, 1, 3, 2, 6)
    # Half the size: weights 1/8, 3/8, 3/8, 1/8, cut off at the edge.
    shrunk = resize_frames(row, (1, 3))
    assert shrunk.shape == (1, 1, 3, 1, 3)
    assert_close(shrunk[0, 0, 1, 0], torch.tensor([8 / 7, 3.0, 0.0]))


def test_frames_of_a_clip_are_resized_one_by_one():
    given = clips(frames=3)[:, 0]
    whole = resize_frames(given, (4, 5))
    for t in range(3):
        assert_close(
            whole[:, :, t : t + 1],
            resize_frames(given[:, :, t : t + 1], (4, 5)),
        )


@pytest.mark.parametrize('layout', ['2d', '3d'])
@pytest.mark.parametrize('trained', [ClipFormat(), ClipFormat(4, (6, 6))])
def test_equal_inputs_are_passed_as_they_are(built, layout, trained):
    given = clips(layout)
    convert = TeacherInput(built[layout], built[layout], trained)
    assert convert(given) is given
    assert convert.changes_of(ClipFormat(4, (6, 6))) == {}


@pytest.mark.parametrize(
    ('source', 'target'), itertools.permutations(['2d', '3d'])
)
def test_frames_and_channels_change_places(built, source, target):
    convert = TeacherInput(built[source], built[target], ClipFormat())
    converted = convert(clips(source))
    assert torch.equal(converted, clips(target))
    assert converted.is_contiguous()
    assert 'layout' in convert.changes_of(ClipFormat())


def test_each_view_becomes_a_clip_of_a_2d_teacher(built):
    convert = TeacherInput(built['3d'], built['2d'], ClipFormat())
    given = clips(views=3)
    converted = convert(given)
    assert converted.shape == (6, 4, 3, 6, 6)
    assert torch.equal(converted[4], given[1, 1].transpose(0, 1))


def test_the_students_normalisation_is_replaced_by_the_teachers(built, log):
    teacher = with_colors(recognizer(), **KINETICS)
    raw = torch.randint(0, 256, (2, 1, 3, 4, 6, 6)).float()
    data = dict(inputs=list(raw), data_samples=[])
    given = built['3d'].data_preprocessor(dict(data))['inputs']
    wanted = teacher.data_preprocessor(dict(data))['inputs']
    convert = TeacherInput(built['3d'], teacher, ClipFormat())
    assert_close(convert(given), wanted, rtol=1e-5, atol=1e-5)
    assert 'data_preprocessor.mean=[114.75, 114.75, 114.75]' in log.text
    assert 'the student has [123.67' in log.text


def test_channels_are_reversed_if_one_side_does_so(built, log):
    raw = torch.randint(0, 256, (1, 1, 3, 4, 6, 6)).float()
    data = dict(inputs=list(raw), data_samples=[])
    plain = built['3d']
    other = with_colors(recognizer(), to_rgb=True, **KINETICS)
    for student, teacher in ((plain, other), (other, plain)):
        given = student.data_preprocessor(dict(data))['inputs']
        wanted = teacher.data_preprocessor(dict(data))['inputs']
        convert = TeacherInput(student, teacher, ClipFormat())
        assert_close(convert(given), wanted, rtol=1e-5, atol=1e-5)
    assert 'to_rgb=True, the student has False' in log.text


def test_a_clip_that_is_not_normalised_is_normalised_for_the_teacher(built):
    student = with_colors(recognizer(), mean=None, std=None)
    given = 100 * clips()
    convert = TeacherInput(student, built['3d'], ClipFormat())
    mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (MEAN, STD))
    assert_close(convert(given), (given - mean) / std)


def gray_recognizer(mean, std):
    model = plane(recognizer())
    model['backbone'] = model['backbone'] | dict(in_channels=1)
    return with_colors(model, mean=[mean], std=[std])


def test_grey_clips_become_rgb_and_the_reverse(built, log):
    gray = gray_recognizer(100.0, 50.0)
    raw = torch.rand(2, 4, 1, 6, 6) * 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    convert = TeacherInput(gray, built['2d'], ClipFormat())
    assert_close(
        convert((raw - 100) / 50), (raw - mean) / std, rtol=1e-4, atol=1e-5
    )
    convert = TeacherInput(built['2d'], gray, ClipFormat())
    raw = torch.rand(2, 4, 3, 6, 6) * 255
    luma = (
        0.299 * raw[:, :, :1] + 0.587 * raw[:, :, 1:2] + 0.114 * raw[:, :, 2:]
    )
    assert_close(
        convert((raw - mean) / std), (luma - 100) / 50, rtol=1e-4, atol=1e-5
    )
    assert 'input channels=1, the student has 3' in log.text


def test_the_grey_of_a_clip_is_one_for_both_orders_of_channels(built):
    teachers = gray_recognizer(100.0, 50.0), gray_recognizer(100.0, 50.0)
    teachers[1].data_preprocessor.to_rgb = True  # of its single channel
    clips = torch.randn(2, 4, 3, 6, 6)
    grey, same = (
        TeacherInput(built['2d'], teacher, ClipFormat())(clips)
        for teacher in teachers
    )
    assert_close(grey, same, rtol=1e-4, atol=1e-5)


def test_grey_clips_that_nothing_normalises_become_rgb():
    raw = dict(mean=None, std=None)
    gray = plane(recognizer())
    gray['backbone'] = gray['backbone'] | dict(in_channels=1)
    convert = TeacherInput(
        with_colors(gray, **raw),
        with_colors(plane(recognizer()), **raw),
        ClipFormat(),
    )
    given = clips('2d', channels=1)
    assert torch.equal(convert(given), given.expand(-1, -1, 3, -1, -1))


def test_other_numbers_of_channels_are_refused(built):
    flow = plane(recognizer())
    flow['backbone'] = flow['backbone'] | dict(in_channels=10)
    with pytest.raises(UserError, match='takes 10 channels .* has 3'):
        TeacherInput(
            built['2d'], with_colors(flow, mean=None, std=None), ClipFormat()
        )


def test_a_recognizer_of_other_inputs_is_refused(built):
    gcn = MODELS.build(
        dict(
            type='RecognizerGCN',
            backbone=dict(
                type='STGCN',
                graph_cfg=dict(layout='coco', mode='stgcn_spatial'),
            ),
            cls_head=dict(type='GCNHead', num_classes=4, in_channels=256),
        )
    )
    with pytest.raises(UserError, match='is a RecognizerGCN; give a Recog'):
        TeacherInput(built['3d'], gcn, ClipFormat())


def test_all_conversions_are_applied_together(built):
    teacher = with_colors(plane(recognizer()), **KINETICS)
    convert = TeacherInput(built['3d'], teacher, ClipFormat(8, (3, 3)))
    given = clips()
    frames = given[:, 0].transpose(1, 2)[:, [0, 0, 1, 1, 2, 2, 3, 3]]
    small = torch.nn.functional.interpolate(
        frames.flatten(0, 1), (3, 3), mode='bilinear', antialias=True
    ).unflatten(0, (2, 8))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    wanted = (small * std + mean - 114.75) / 57.38
    assert_close(convert(given), wanted, rtol=1e-4, atol=1e-5)


def test_the_conversion_commutes_with_blending(built):
    teacher = with_colors(recognizer(), **KINETICS)
    convert = TeacherInput(built['3d'], teacher, ClipFormat(8, (9, 9)))
    given = clips()
    mixed = 0.3 * given + 0.7 * given.flip(0)
    wanted = 0.3 * convert(given) + 0.7 * convert(given.flip(0))
    assert_close(convert(mixed), wanted, rtol=1e-4, atol=1e-5)


def test_a_difference_is_a_warning_once_unless_it_is_asked_for(built, log):
    trained = ClipFormat(8, (12, 12))
    convert = TeacherInput(built['3d'], built['3d'], trained)
    for _ in range(2):
        convert(clips())
    texts = [r.message for r in log.records if r.levelname == 'WARNING']
    assert len(texts) == 2
    assert 'trained with num_frames 8, the student has 4' in texts[0]
    assert 'trained with input_size 12x12, the student has 6x6' in texts[1]
    log.clear()
    convert(clips()[..., :4])  # of a batch of other clips
    (text,) = [r.message for r in log.records if 'input_size' in r.message]
    assert 'the student has 6x4' in text
    log.clear()
    convert = TeacherInput(
        built['3d'], built['3d'], trained, asked=('num_frames', 'size')
    )
    convert(clips())
    assert {r.levelname for r in log.records} == {'INFO'}
    assert 'gets num_frames 8, the student has 4' in log.text


def test_options_and_config_reach_the_teacher(tmp_path, build, log):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    whole = dict(
        model=teacher['config'],
        train_dataloader=dict(
            dataset=dict(
                pipeline=[
                    dict(type='UniformSample', clip_len=8),
                    dict(type='CenterCrop', crop_size=40),
                ]
            )
        ),
    )
    for options, shape, levels in (
        (dict(), (3, 8, 40, 40), 'WARNING'),
        (dict(num_frames=6, input_size=(32, 48)), (3, 6, 32, 48), 'INFO'),
        (dict(num_frames=4, input_size=32), (3, 4, 32, 32), None),
    ):
        log.clear()
        student = build(distiller(teacher | dict(config=whole) | options))
        seen = []
        student.teacher.model.backbone.register_forward_pre_hook(
            lambda _, args, seen=seen: seen.append(args[0].shape)
        )
        log.clear()
        logits = student.teacher.logits(clips(size=(32, 32)))
        assert logits.shape == (2, 4)
        assert seen == [(2, *shape)]
        assert {r.levelname for r in log.records} == ({levels} - {None})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_frames=0), 'num_frames is 0'),
        (dict(num_frames=(8, 8)), r'num_frames is \(8, 8\)'),
        (dict(input_size='224'), "input_size is '224'"),
        (dict(input_size=(224, 224, 3)), 'input_size is .*height, width'),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    files = dict(config='c.py', checkpoint='c.pth')
    with pytest.raises(UserError, match=message):
        MODELS.build(distiller(files | options))


def test_a_conversion_stays_on_the_device_without_waiting(built):
    teacher = with_colors(plane(recognizer()), to_rgb=True, **KINETICS)
    convert = TeacherInput(built['3d'], teacher, ClipFormat(8, (9, 9)))
    with fake_cuda() as mode:
        convert = to_fake_cuda(convert, mode)
        converted = convert(clips().to(DEVICE))
    assert converted.device == DEVICE and converted.shape == (2, 8, 3, 9, 9)
