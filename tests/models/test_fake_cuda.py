"""A step of training keeps to its device, and does not wait for it."""

import numpy as np
import pytest
import torch
from fake_cuda import DEVICE, Waits, fake_cuda, to_fake_cuda
from mmaction.registry import MODELS, RUNNERS
from mmaction.structures import ActionDataSample
from small_recipe import NUM_CLASSES, recipe, recognizer, write_dataset
from torch._subclasses.fake_tensor import DataDependentOutputException

CHANGES = (
    (('hue', 0.1), ('contrast', 1.2)),
    (('saturation', 0.0),),
    (),
    (('brightness', 0.8), ('hue', 0.0), ('saturation', 1.1)),
)
LOGGED = ('loss', 'loss_kd', 'loss_cls', 'teacher_agreement', 'grad_norm')


# All losses at once; DKD needs the labels.
LOSSES = [
    dict(type=f'{name}Loss')
    for name in (
        'SymmetricKLDivergence',
        'StandardizedKLDivergence',
        'DIST',
        'WTTM',
        'DKD',
    )
]


def student(loss_kd=None, temporal='global', **kwargs):
    """A distilling recognizer with blending, drop path and a teacher."""
    config = recognizer(**kwargs)
    config['backbone'] |= dict(drop_path_rate=0.3, temporal=temporal)
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
            loss_kd=loss_kd,
        )
    )
    teacher = MODELS.build(recognizer(width=12))
    return model, teacher


def batch(unlabelled=()):
    samples = []
    for label, changes in enumerate(CHANGES):
        none = label in unlabelled
        sample = ActionDataSample().set_gt_label(-1 if none else label)
        sample.set_metainfo(dict(color_changes=changes, unlabelled=none))
        samples.append(sample)
    clips = [torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8) for _ in samples]
    return dict(inputs=clips, data_samples=samples)


def losses_of(model, data):
    data = model.data_preprocessor(data, True)
    return data, model(**data, mode='loss')


@pytest.mark.parametrize(
    'seed, temporal',
    [(1, 'global'), (2, 'global'), (1, 'causal')],  # 1: mixup, 2: CutMix
)
def test_a_step_stays_on_the_device_without_waiting(seed, temporal):
    model, teacher = student(temporal=temporal)
    np.random.seed(seed)
    with fake_cuda() as mode:
        model = to_fake_cuda(model, mode).train()
        model.teacher.use_model(to_fake_cuda(teacher, mode))
        with Waits() as waits:
            data, losses = losses_of(model, batch())
        assert waits.found == []
        assert data['inputs'].device == DEVICE
        names = {'loss_kd', 'loss_cls', 'teacher_entropy'}
        assert names <= set(losses)
        assert {value.device for value in losses.values()} == {DEVICE}
        loss, _ = model.parse_losses(losses)
        assert loss.device == DEVICE


@pytest.mark.parametrize('unlabelled', [(), (0, 2), (0, 1, 2, 3)])
def test_neither_other_losses_nor_unlabelled_clips_wait(unlabelled):
    model, teacher = student(loss_kd=LOSSES)
    with fake_cuda() as mode:
        model = to_fake_cuda(model, mode).train()
        model.teacher.use_model(to_fake_cuda(teacher, mode))
        with Waits() as waits:
            _, losses = losses_of(model, batch(unlabelled))
        assert waits.found == []
        assert {'loss_kd', 'loss_cls', 'kd_DIST', 'kd_DKD'} <= set(losses)
        assert {value.device for value in losses.values()} == {DEVICE}


def train_step(runner, model, iteration):
    """An iteration of ``StreamTrainLoop``, apart from the gradients' values.

    A build for CPUs cannot compute gradients of tensors of another device.
    """
    runner.train_loop._iter = iteration
    loop = dict(batch_idx=iteration, data_batch=batch())
    runner.call_hook('before_train_iter', **loop)
    _, losses = losses_of(model, loop['data_batch'])
    _, outputs = model.parse_losses(losses)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    runner.optim_wrapper.step()
    runner.optim_wrapper.zero_grad()
    runner.call_hook('after_train_iter', outputs=outputs, **loop)


@pytest.mark.parametrize('with_teacher', [False, True])
def test_iterations_wait_for_the_device_at_the_loggers_interval_only(
    tmp_path, with_teacher
):
    config = recipe(
        recognizer(), write_dataset(tmp_path / 'clips'), tmp_path / 'work'
    )
    config['default_hooks']['logger'] = dict(type='LoggerHook', interval=2)
    if with_teacher:
        hook = dict(type='TeacherRecordingHook')
        config['default_hooks']['teacher_recording'] = hook
    config['train_dataloader']['batch_size'] = 1
    runner = RUNNERS.build(config)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    model, teacher = student()
    waits = []
    with fake_cuda() as mode:
        model = to_fake_cuda(model, mode).train()
        model.teacher.use_model(to_fake_cuda(teacher, mode))
        wrapper = dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True),
            clip_grad=dict(max_norm=5.0),
        )
        runner.model = model
        runner.optim_wrapper = runner.build_optim_wrapper(wrapper)
        runner.call_hook('before_run')
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        for iteration in range(4):
            with Waits() as step:
                train_step(runner, model, iteration)
            waits.append(step.found)
    # The logger reads all scalars in one copy; whether the teacher's logits
    # are finite is read just before, and after the first iteration.
    if with_teacher:
        assert waits == [['read'], ['read', 'copy'], [], ['read', 'copy']]
    else:
        assert waits == [[], ['copy'], [], ['copy']]
    history = runner.message_hub.log_scalars
    assert {len(history[f'train/{name}'].data[0]) for name in LOGGED} == {4}


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
    with fake_cuda(), Waits() as waits:
        tensor = torch.ones(2, device=DEVICE)
        tensor[0].item()
        tensor.cpu()
        torch.ones(2).to(DEVICE)
        torch.ones(2).to(DEVICE, non_blocking=True)
        tensor[torch.tensor([1])]
    assert waits.found == ['read', 'copy', 'copy', 'index']
