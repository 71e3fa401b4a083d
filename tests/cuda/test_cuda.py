"""What a GPU must do: agree with the CPU, distil under AMP, resume."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.optim import OptimWrapper
from small_recipe import (
    distiller,
    random_recipe,
    recognizer,
    run,
    run_in_processes,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.deferred_scalars import (
    DeferredMessageHub,
    defer_gradient_norm,
)
from dvfl_mmaction.models import data_preprocessor

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a CUDA device'
)


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp('clips'))


def batch(size=4):
    generator = torch.Generator().manual_seed(0)
    shape = (1, 3, 4, 32, 32)
    return dict(
        inputs=[
            torch.randint(256, shape, generator=generator, dtype=torch.uint8)
            for _ in range(size)
        ],
        data_samples=[
            ActionDataSample().set_gt_label(label) for label in range(size)
        ],
    )


def losses_and_gradients(model, device, dtype=None):
    """Of one batch; with ``dtype`` under autocast."""
    model = copy.deepcopy(model).to(device).train()
    data = model.data_preprocessor(batch(), True)
    with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
        losses = model(**data, mode='loss')
        loss, _ = model.parse_losses(losses)
    loss.backward()
    return loss.item(), {
        name: parameter.grad.float().cpu()
        for name, parameter in model.named_parameters()
    }


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(distiller(write_teacher(tmp_path / 'teacher.pth')))
    model.init_weights()
    return model


def test_losses_and_gradients_agree_with_the_cpu(model):
    loss, gradients = losses_and_gradients(model, 'cpu')
    on_gpu, others = losses_and_gradients(model, 'cuda')
    assert on_gpu == pytest.approx(loss, rel=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            others[name], gradient, rtol=1e-2, atol=1e-4
        )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_stays_close(model, dtype):
    loss, _ = losses_and_gradients(model, 'cuda')
    half, gradients = losses_and_gradients(model, 'cuda', dtype)
    assert half == pytest.approx(loss, rel=0.05)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_the_teacher_follows_the_student_to_the_device(model):
    model.cuda()
    parameters = [*model.parameters(), *model.teacher.model.parameters()]
    assert {parameter.device.type for parameter in parameters} == {'cuda'}


def test_a_step_does_not_wait_for_the_device(model):
    model.cuda().train()
    data = model.data_preprocessor(batch(), True)
    for sample in data['data_samples']:  # soft labels, as after blending
        soft = torch.zeros(4, device='cuda')
        sample.set_gt_label(soft + 0.25)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_a_teacher_with_nan_stops_after_the_first_iteration(data, tmp_path):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    checkpoint = torch.load(teacher['checkpoint'], weights_only=True)
    checkpoint['state_dict']['cls_head.fc_cls.bias'][0] = float('nan')
    torch.save(checkpoint, teacher['checkpoint'])
    config = random_recipe(distiller(teacher), data, tmp_path / 'work')
    config['default_hooks']['teacher_recording'] = dict(
        type='TeacherRecordingHook'
    )
    with pytest.raises(UserError, match='NaN or infinite .* 4 of 4 clips'):
        run(config)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_a_distillation_trains_in_mixed_precision(data, tmp_path, dtype):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    config = random_recipe(distiller(teacher), data, tmp_path / 'work')
    config['optim_wrapper'].update(
        type='AmpOptimWrapper', dtype=dtype, clip_grad=dict(max_norm=5.0)
    )
    runner = run(config)
    history = runner.message_hub.log_scalars
    for name in ('loss', 'loss_kd', 'grad_norm'):
        values = history[f'train/{name}'].data[0]
        assert len(values) == 6, name
        if name != 'grad_norm':  # it is infinite where a step is skipped
            assert torch.tensor(values).isfinite().all(), name
    assert runner.val()['acc/top5'] >= 0


@pytest.mark.parametrize('augment', ['Mixup', 'Cutmix'])
def test_blending_does_not_wait_for_the_device(augment):
    blend = getattr(data_preprocessor, augment)(4, 1.0)
    clips = torch.rand(4, 1, 3, 4, 16, 16, device='cuda')
    labels = torch.eye(4, device='cuda')
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        blended, soft = blend.do_blending(clips, labels)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert blended.device.type == soft.device.type == 'cuda'


def test_logging_and_clipping_do_not_wait_for_the_device():
    hub = DeferredMessageHub.get_instance('of the device')
    parameter = torch.nn.Parameter(torch.ones(3, device='cuda'))
    parameter.grad = torch.ones(3, device='cuda')
    wrapper = OptimWrapper(
        torch.optim.SGD([parameter], lr=0.1), clip_grad=dict(max_norm=1.0)
    )
    defer_gradient_norm(wrapper)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        wrapper.step()
        hub.update_scalar('train/loss', parameter.sum())
    finally:
        torch.cuda.set_sync_debug_mode('default')
    norm = hub.get_scalar('train/grad_norm').current()
    assert norm == pytest.approx(3**0.5)


def test_the_benchmark_compares_the_formulations(tmp_path):
    words = [sys.executable, str(ROOT / 'tools/benchmark.py'), '--to', 'out']
    words += ['--dataset', 'demo', '--models', 'vflnet_kd', '--released']
    words += ['--device', 'cuda', '--amp', 'fp16']
    words += ['--forwards', '3', '--steps', '3']
    subprocess.run(words, cwd=tmp_path, check=True, timeout=300)
    results = json.loads((tmp_path / 'out/benchmark.json').read_text())
    assert len(results['comparisons']) == 2
    for found in results['comparisons']:
        assert found['step']['median'] > 0 and found['training_bytes'] > 0
    for model in results['models']:
        assert model['training_bytes'] > model['inference_bytes'] > 0
        assert 0 < model['step_busy'] < 1.5 and model['step_clips_per_s'] > 0


def test_a_resumed_run_is_exact(data, tmp_path):
    def config(work_dir, **kwargs):
        hook = dict(type='CheckpointHook', by_epoch=False, interval=1)
        config = random_recipe(
            recognizer(),
            data,
            work_dir,
            default_hooks=dict(checkpoint=hook),
            randomness=dict(seed=0, deterministic=True),
            **kwargs,
        )
        config['train_cfg'].update(val_interval=99)
        return config

    run(config(tmp_path / 'whole'))  # 2 epochs of 3 batches
    middle = str(tmp_path / 'whole/iter_4.pth')
    run(config(tmp_path / 'again', load_from=middle, resume=True))
    whole, again = (
        torch.load(tmp_path / name / 'iter_6.pth', weights_only=True)
        for name in ('whole', 'again')
    )
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, again['state_dict'][name]), name


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two GPUs')
def test_two_gpus_train(data, tmp_path):
    config = random_recipe(recognizer(), data, tmp_path / 'work')
    config['env_cfg'] = dict(dist_cfg=dict(backend='nccl'))
    run_in_processes(config, tmp_path, device='cuda')
    assert (tmp_path / 'work/epoch_2.pth').is_file()
