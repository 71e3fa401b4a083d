"""Distillation through MMEngine's runner."""

import json
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS, RUNNERS
from mmengine.optim import build_optim_wrapper
from small_recipe import distiller, recipe, recognizer, run, write_dataset


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """12 clips, which fill whole batches of 4."""
    return write_dataset(tmp_path_factory.mktemp('clips'))


def weights(path) -> dict:
    return torch.load(path, weights_only=True)['state_dict']


def assert_same(a: dict, b: dict, **tolerance):
    assert a.keys() == b.keys()
    for key in a:
        torch.testing.assert_close(a[key], b[key], msg=key, **tolerance)


def scalars(work_dir: Path) -> list[dict]:
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_students_checkpoint_tests_without_the_teachers_files(
    data, teacher, tmp_path
):
    """Under the plain config and under the distillation's."""
    work_dir = tmp_path / 'kd'
    config = recipe(distiller(teacher), data, work_dir)
    config['default_hooks']['logger'] = dict(type='LoggerHook', interval=1)
    trained = run(config)
    Path(teacher['checkpoint']).unlink()
    absent = dict(config='absent.py', checkpoint='absent.pth')
    accuracies = []
    for model in (recognizer(), distiller(absent)):
        tested = RUNNERS.build(
            recipe(
                model,
                data,
                tmp_path / model['type'],
                load_from=str(work_dir / 'epoch_2.pth'),
            )
        )
        accuracies.append(tested.test()['acc/top1'])
        assert_same(tested.model.state_dict(), trained.model.state_dict())
    logged = scalars(work_dir)
    steps = [line for line in logged if 'loss' in line]
    assert len(steps) == 6
    for line in steps:
        assert line['loss'] == pytest.approx(
            line['loss_kd'] + line['loss_cls'], abs=1e-4
        )
        assert {'teacher_entropy', 'student_entropy'} <= line.keys()
        assert 0 <= line['teacher_agreement'] <= 1
    for accuracy in accuracies:
        assert logged[-1]['acc/top1'] == pytest.approx(accuracy, abs=1e-4)


def test_a_resumed_distillation_ends_as_an_uninterrupted_one(
    data, teacher, tmp_path
):
    whole = recipe(distiller(teacher), data, tmp_path / 'whole')
    run(whole)
    cut = recipe(distiller(teacher), data, tmp_path / 'cut')
    cut['train_cfg']['max_epochs'] = 1
    run(cut)
    assert not (tmp_path / 'cut/epoch_2.pth').exists()
    cut['train_cfg']['max_epochs'] = 2
    run(cut | dict(resume=True, experiment_name='again'))
    assert_same(
        weights(tmp_path / 'whole/epoch_2.pth'),
        weights(tmp_path / 'cut/epoch_2.pth'),
    )


def test_ema_averages_only_the_student(data, teacher, tmp_path):
    config = recipe(
        distiller(teacher),
        data,
        tmp_path / 'ema',
        custom_hooks=[dict(type='EMAHook', momentum=0.5)],
    )
    trained = run(config)
    saved = torch.load(tmp_path / 'ema/epoch_2.pth', weights_only=True)
    plain = MODELS.build(recognizer()).state_dict()
    # MMEngine saves the average as the state dict, and the last step apart.
    assert saved['state_dict'].keys() == plain.keys()
    ema = {k for k in saved['ema_state_dict'] if k != 'steps'}
    assert ema == {f'module.{k}' for k in plain}
    key = 'cls_head.fc_cls.weight'
    assert not torch.equal(
        saved['state_dict'][key], saved['ema_state_dict']['module.' + key]
    )
    assert trained.model.teacher.model is not None


def test_paramwise_options_apply_to_the_student_only(teacher):
    model = MODELS.build(distiller(teacher))
    model.init_weights()
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-4),
            paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
        ),
    )
    groups = wrapper.optimizer.param_groups
    assert sum(len(g['params']) for g in groups) == len(
        list(model.parameters())
    )
    own = {id(p): n for n, p in model.named_parameters()}
    for group in groups:
        (parameter,) = group['params']
        name = own[id(parameter)]
        free = name.endswith('bias') or 'norm' in name
        assert group['weight_decay'] == (0 if free else 1e-4), name


def test_bf16_training_learns_and_keeps_float32_weights(
    data, teacher, tmp_path
):
    import dvfl_mmaction.cpu  # noqa: F401, registers the wrapper

    config = recipe(distiller(teacher), data, tmp_path / 'amp')
    config['optim_wrapper']['type'] = 'CPUAmpOptimWrapper'
    exact = recipe(distiller(teacher), data, tmp_path / 'exact')
    run(config), run(exact)
    half = weights(tmp_path / 'amp/epoch_2.pth')
    full = weights(tmp_path / 'exact/epoch_2.pth')
    assert all(v.dtype == torch.float32 for v in half.values())
    assert_same(half, full, rtol=0, atol=0.02)
    assert any(not torch.equal(half[k], full[k]) for k in half)
