"""Several losses of a student: sum, log, options and refusals."""

import pytest
import torch
from mmaction.structures import ActionDataSample
from recorded_runs import distillation
from small_recipe import NUM_CLASSES, distiller, run

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import (
    BinaryDivergenceLoss,
    DISTLoss,
    DKDLoss,
    KLDivergenceLoss,
    WTTMLoss,
    kl_divergence,
)
from dvfl_mmaction.distillation.combined_loss import (
    CombinedLoss,
    build_loss,
    has_warmup,
    is_binary,
    part_names,
    parts_of,
)
from dvfl_mmaction.distillation.ensemble_teacher import EnsembleTeacher
from dvfl_mmaction.distillation.recorded_teacher import require_temperature


def batch(size=3):
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(size, 1, 3, 4, 32, 32, generator=generator)
    return inputs, [ActionDataSample().set_gt_label(i) for i in range(size)]


def test_losses_add_up_and_their_parts_are_logged(teacher, build):
    config = [
        dict(type='KLDivergenceLoss', temperature=4.0, loss_weight=0.5),
        dict(type='DISTLoss', loss_weight=2.0),
        dict(type='DKDLoss'),
    ]
    student = build(distiller(teacher, loss_kd=config, alpha=0.4))
    inputs, samples = batch()
    losses = student(inputs, samples, mode='loss')
    own, taught = student(inputs, stage='head'), student.teacher.logits(inputs)
    targets = torch.eye(NUM_CLASSES)[:3]
    expected = dict(
        kd_KLDivergence=0.4 * 0.5 * kl_divergence(own, taught, 4.0),
        kd_DIST=0.4 * 2 * DISTLoss()(own, taught),
        kd_DKD=0.4 * DKDLoss()(own, taught, targets=targets),
    )
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value.detach())
        assert not losses[name].requires_grad
    torch.testing.assert_close(losses['loss_kd'], sum(expected.values()))
    # The total has each part once.
    total, logged = student.parse_losses(losses)
    torch.testing.assert_close(total, losses['loss_kd'] + losses['loss_cls'])
    assert expected.keys() <= logged.keys()


def test_a_loss_alone_has_no_parts(teacher, build):
    found = []
    for config in (dict(type='DISTLoss'), [dict(type='DISTLoss')]):
        torch.manual_seed(0)
        student = build(distiller(teacher, loss_kd=config))
        found.append(student(*batch(), mode='loss'))
    assert not [name for name in found[1] if name.startswith('kd_')]
    assert found[0]['loss_kd'] == found[1]['loss_kd'] > 0


def test_called_on_its_own_it_is_the_sum():
    config = dict(type='KLDivergenceLoss', temperature=4), dict(type='DKDLoss')
    student, teacher = torch.randn(2, 3, 5)
    targets = torch.eye(5)[:3]
    wanted = kl_divergence(student, teacher, 4) + DKDLoss()(
        student, teacher, targets
    )
    # A config file may have a tuple.
    for losses in (config, list(config)):
        found = build_loss(losses)(student, teacher, targets=targets)
        torch.testing.assert_close(found, wanted)


def test_a_sum_needs_what_a_part_needs_and_is_binary_if_all_are():
    loss = CombinedLoss([KLDivergenceLoss(), KLDivergenceLoss()])
    assert not (loss.needs_every_class or loss.needs_targets)
    assert not has_warmup(loss)
    parts = [KLDivergenceLoss(), DKDLoss(warmup_epochs=2)]
    loss = CombinedLoss(parts)
    assert loss.needs_every_class and loss.needs_targets and has_warmup(loss)
    binary = BinaryDivergenceLoss()
    assert is_binary(CombinedLoss([binary, binary]))
    assert not is_binary(CombinedLoss([binary, DISTLoss()]))


def test_names_of_parts_differ_and_are_not_summed_by_mmengine():
    names = part_names([KLDivergenceLoss(5), DISTLoss(), KLDivergenceLoss(9)])
    assert names == ['kd_KLDivergence', 'kd_DIST', 'kd_KLDivergence_2']

    class LossyLOSS(torch.nn.Module):
        pass

    assert part_names([LossyLOSS()]) == ['kd_y']


@pytest.mark.parametrize(
    'config', [[], ['DISTLoss'], [dict(), None], 'DISTLoss']
)
def test_something_else_is_refused(config):
    with pytest.raises(UserError, match='give a loss.* or a list'):
        build_loss(config)


def test_the_temperature_is_that_of_all_losses():
    same = CombinedLoss([KLDivergenceLoss(4), DKDLoss(temperature=4)])
    assert same.temperature == 4
    for other in (KLDivergenceLoss(5), WTTMLoss()):
        assert not hasattr(
            CombinedLoss([KLDivergenceLoss(4), other]), 'temperature'
        )


def test_several_teachers_average_at_the_common_temperature(build, teacher):
    found = []
    for temperature in (4.0, 5.0):
        config = [
            dict(type='KLDivergenceLoss', temperature=4.0),
            dict(type='SymmetricKLDivergenceLoss', temperature=temperature),
        ]
        student = build(distiller([teacher, teacher], loss_kd=config))
        assert isinstance(student.teacher, EnsembleTeacher)
        found.append(student.teacher.temperature)
    assert found == [4.0, 1.0]


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='DISTLoss'), 'DISTLoss needs the logits of every class'),
        (dict(type='WTTMLoss'), 'WTTMLoss needs the logits of every class'),
        (
            [dict(type='KLDivergenceLoss'), dict(type='DKDLoss')],
            'DKDLoss needs the logits of every class',
        ),
        (
            [
                dict(type='KLDivergenceLoss', temperature=4.0),
                dict(type='KLDivergenceLoss', temperature=5.0),
            ],
            'have no common temperature',
        ),
    ],
)
def test_a_top_k_recording_needs_a_loss_that_it_suffices_for(config, message):
    with pytest.raises(UserError, match=message) as error:
        require_temperature(build_loss(config))
    assert 'leave out record_top_k' in str(error.value)
    assert '\n' not in str(error.value)


def test_several_labels_per_clip_take_sigmoids(teacher, log, build):
    config = distiller(
        teacher, loss_kd=[dict(type='BinaryDivergenceLoss')] * 2
    )
    config['cls_head'] = config['cls_head'] | dict(multi_class=True)
    assert is_binary(build(config).loss_kd)
    assert 'softmax over the classes' not in log.text
    config['loss_kd'] = [
        dict(type='BinaryDivergenceLoss'),
        dict(type='DISTLoss'),
    ]
    build(config)
    assert 'loss_kd is DISTLoss, a softmax over the classes' in log.text
    config['loss_kd'] = dict(type='DKDLoss')
    with pytest.raises(UserError, match='DKDLoss, which needs one'):
        build(config)


def test_a_warm_up_gets_the_epoch_from_the_hook(data, teacher, tmp_path):
    config = distillation(data, tmp_path / 'run', teacher)
    warm = dict(type='DKDLoss', warmup_epochs=2)
    config['model']['loss_kd'] = [dict(type='KLDivergenceLoss'), warm]
    runner = run(config)
    _, loss = parts_of(runner.model.loss_kd)
    assert loss.epoch == 1 and loss.warmup_factor() == 1
    hub = runner.message_hub.log_scalars
    total, first, second = (
        hub[f'train/{name}'].data[0]
        for name in ('loss_kd', 'kd_KLDivergence', 'kd_DKD')
    )
    assert total.tolist() == pytest.approx((first + second).tolist())


@pytest.mark.parametrize('several', [False, True])
def test_a_warm_up_needs_a_loop_of_epochs(data, teacher, tmp_path, several):
    config = distillation(data, tmp_path, teacher)
    config['train_cfg'] = dict(
        type='IterBasedTrainLoop', max_iters=2, val_interval=99
    )
    warm = dict(type='DKDLoss', warmup_epochs=20)
    kl = dict(type='KLDivergenceLoss')
    config['model']['loss_kd'] = [kl, warm] if several else warm
    with pytest.raises(UserError, match='which has one for the whole') as e:
        run(config)
    assert "train_cfg.type='StreamTrainLoop'" in str(e.value)
    assert '\n' not in str(e.value)
    warm['warmup_epochs'] = 0
    assert run(config).iter == 2
