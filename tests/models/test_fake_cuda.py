"""A step of training keeps to its device, and does not wait for it."""

import numpy as np
import pytest
import torch
from fake_cuda import DEVICE, fake_cuda, to_fake_cuda
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from small_recipe import NUM_CLASSES, recognizer
from torch._subclasses.fake_tensor import DataDependentOutputException

CHANGES = (
    (('hue', 0.1), ('contrast', 1.2)),
    (('saturation', 0.0),),
    (),
    (('brightness', 0.8), ('hue', 0.0), ('saturation', 1.1)),
)


def student(**kwargs):
    """A distilling recognizer with blending, drop path and a teacher."""
    config = recognizer(**kwargs)
    config['backbone']['drop_path_rate'] = 0.3
    config['data_preprocessor'] = dict(
        config['data_preprocessor'],
        type='ClipDataPreprocessor',
        blending=dict(type='MixupOrCutmix', num_classes=NUM_CLASSES),
    )
    model = MODELS.build(
        dict(
            config,
            type='DistillRecognizer3D',
            teacher=dict(config=dict(type='Recognizer3D'), checkpoint='-'),
        )
    )
    teacher = MODELS.build(recognizer(width=12))
    return model, teacher


def batch():
    samples = []
    for label, changes in enumerate(CHANGES):
        sample = ActionDataSample().set_gt_label(label)
        sample.set_metainfo(dict(color_changes=changes))
        samples.append(sample)
    clips = [torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8) for _ in samples]
    return dict(inputs=clips, data_samples=samples)


def losses_of(model, data):
    data = model.data_preprocessor(data, True)
    return data, model(**data, mode='loss')


@pytest.mark.parametrize('seed', [1, 2])  # mixup, and CutMix
def test_a_step_stays_on_the_device_without_waiting(seed):
    model, teacher = student()
    np.random.seed(seed)
    with fake_cuda() as mode:
        model = to_fake_cuda(model, mode).train()
        model.teacher.use_model(to_fake_cuda(teacher, mode))
        data, losses = losses_of(model, batch())
        assert data['inputs'].device == DEVICE
        names = {'loss_kd', 'loss_cls', 'teacher_entropy'}
        assert names <= set(losses)
        assert {value.device for value in losses.values()} == {DEVICE}
        loss, _ = model.parse_losses(losses)
        assert loss.device == DEVICE


def test_a_teacher_on_another_device_is_found():
    model, teacher = student()
    with fake_cuda() as mode:
        model = to_fake_cuda(model, mode).train()
        model.teacher.use_model(teacher)
        with pytest.raises(RuntimeError, match='cpu'):
            losses_of(model, batch())


def test_a_wait_for_the_device_is_found():
    with fake_cuda(), pytest.raises(DataDependentOutputException):
        torch.ones(1, device=DEVICE).item()
