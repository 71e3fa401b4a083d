"""Clips without a label bring the teacher's loss alone."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from recorded_runs import HOOKS, distillation, kd_losses, recorded
from small_recipe import NUM_CLASSES, distiller, recipe, recognizer, run

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import DKDLoss, kl_divergence
from dvfl_mmaction.distillation.unlabelled_clips import (
    blended_loss,
    label_losses,
    soft_targets,
)

SHARES = torch.tensor(
    [[0.6, 0.4, 0, 0], [0, 0.6, 0, 0], [0.4, 0, 0, 0], [0, 0, 0, 0]]
)


def samples(*labels):
    """Samples with labels, hard or soft; -1 for none."""
    made = []
    for label in labels:
        sample = ActionDataSample().set_gt_label(label)
        if not torch.is_tensor(label) and label < 0:
            sample.set_metainfo(dict(unlabelled=True))
        made.append(sample)
    return made


def blended(shares=SHARES):
    """Samples 2 and 3 had no label before blending."""
    made = samples(*shares)
    for sample in made[2:]:
        sample.set_metainfo(dict(unlabelled=True))
    return made


def head(**kwargs):
    return MODELS.build(recognizer()['cls_head'] | kwargs)


def logits(size=4):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(size, NUM_CLASSES, generator=generator)


def test_hard_labels_give_the_mean_and_the_accuracy_of_the_labelled():
    found = label_losses(head(), logits(), samples(2, -1, 0, -1))
    alone = head().loss_by_feat(logits()[[0, 2]], samples(2, 0))
    assert found == alone
    assert {'loss_cls', 'top1_acc', 'top5_acc'} == set(found)
    one = label_losses(head(), logits(), samples(-1, -1, 3, -1))
    expected = -logits().log_softmax(-1)[2, 3]
    torch.testing.assert_close(one['loss_cls'], expected)


def test_blended_labels_count_by_their_labelled_shares():
    # Clips 0 and 1 are labelled: 0.6 and 0.4 of clip 0, and 0.4 and 0.6 of
    # clip 1, lie in the blends.
    found = label_losses(head(), logits(), blended())
    log_q = logits().log_softmax(-1)
    cells = (
        0.6 * log_q[0, 0]
        + 0.4 * log_q[0, 1]
        + 0.6 * log_q[1, 1]
        + 0.4 * log_q[2, 0]
    )
    assert set(found) == {'loss_cls'}
    torch.testing.assert_close(found['loss_cls'], -cells / 2)


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(label_smooth_eps=0.1),
        dict(
            loss_cls=dict(
                type='CrossEntropyLoss',
                loss_weight=2.0,
                class_weight=[1.0, 2.0, 0.5, 1.0],
            )
        ),
    ],
)
def test_with_all_labels_a_blend_has_the_heads_loss(options):
    shares = torch.tensor([[0.3, 0.7, 0, 0], [0.7, 0, 0.3, 0]])
    loss = blended_loss(head(**options), logits(2), shares, 2)
    expected = head(**options).loss_by_feat(logits(2), samples(*shares))
    torch.testing.assert_close(loss, expected['loss_cls'])


def test_smoothing_leaves_unlabelled_clips_out():
    smooth = head(label_smooth_eps=0.1)
    pair = torch.stack([SHARES[0], SHARES[3]])
    torch.testing.assert_close(
        blended_loss(smooth, logits()[[0, 3]], pair, 1),
        blended_loss(smooth, logits()[:1], SHARES[:1], 1),
    )


def test_blends_need_a_cross_entropy():
    other = head(loss_cls=dict(type='BCELossWithLogits'))
    with pytest.raises(UserError, match='is BCELossWithLogits, but blended'):
        label_losses(other, logits(), blended())


def test_without_labels_the_logits_still_get_a_gradient_of_0():
    """DistributedDataParallel waits for one of every parameter."""
    scores = logits(2).requires_grad_()
    label_losses(head(), scores, samples(-1, -1))['loss_cls'].backward()
    assert torch.equal(scores.grad, torch.zeros_like(scores))


@pytest.mark.parametrize('soft', [False, True])
def test_a_batch_without_labels_has_a_loss_of_0(teacher, build, soft):
    student = build(distiller(teacher))
    inputs = torch.randn(2, 1, 3, 4, 32, 32)
    batch = samples(-1, -1)
    if soft:
        for sample in batch:
            sample.set_gt_label(torch.zeros(NUM_CLASSES))
    losses = student(inputs, batch, mode='loss')
    assert losses['loss_cls'] == 0 and 'top1_acc' not in losses
    student.parse_losses(losses)[0].backward()
    gradients = [p.grad for p in student.parameters()]
    assert all(g.isfinite().all() for g in gradients)
    own = student(inputs, stage='head')
    expected = 0.3 * kl_divergence(own, student.teacher.logits(inputs), 10.0)
    torch.testing.assert_close(losses['loss_kd'], expected)


def test_targets_are_the_shares_of_the_classes():
    hard = soft_targets(samples(2, -1, 0), NUM_CLASSES, logits())
    expected = torch.eye(NUM_CLASSES)[[2, 0, 0]]
    expected[1] = 0
    assert torch.equal(hard, expected)
    assert torch.equal(soft_targets(blended(), 4, logits()), SHARES)
    student, teacher = logits(3), logits(6)[3:]
    parts = [
        DKDLoss()(student[[i]], teacher[[i]], targets=hard[[i]])
        for i in (0, 2)
    ]
    parts.append(kl_divergence(student[[1]], teacher[[1]], 4.0))
    torch.testing.assert_close(
        DKDLoss()(student, teacher, targets=hard), sum(parts) / 3
    )


def test_blending_adds_no_label_of_an_unlabelled_clip():
    blend = MODELS.build(dict(type='MixupOrCutmix', num_classes=NUM_CLASSES))
    for seed in range(6):
        torch.manual_seed(seed)
        made = samples(1, -1, 3, -1)
        _, made = blend(torch.randn(4, 1, 3, 4, 32, 32), made)
        labels = torch.stack([s.gt_label for s in made])
        # Each labelled clip is distributed over the blends as a whole.
        wanted = torch.tensor([0.0, 1.0, 0.0, 1.0])
        torch.testing.assert_close(labels.sum(0), wanted)


@pytest.fixture(scope='module')
def partly(data, tmp_path_factory):
    """The clips of ``data``, every second without a label."""
    folder = tmp_path_factory.mktemp('partly')
    lines = (data / 'list.txt').read_text().splitlines()
    lines[::2] = [f'{line.split()[0]} -1' for line in lines[::2]]
    for path in data.glob('*.mp4'):
        (folder / path.name).symlink_to(path)
    (folder / 'list.txt').write_text('\n'.join(lines) + '\n')
    return folder


def with_validation(config, data):
    """A recipe that validates and tests on a list with all labels."""
    for loader in ('val_dataloader', 'test_dataloader'):
        config[loader]['dataset']['data_root'] = str(data)
    return config


def test_a_training_with_unlabelled_clips_runs_and_is_recorded(
    partly, data, teacher, tmp_path
):
    kinds = dict(
        recording=teacher
        | dict(record_to=str(tmp_path / 'rec'), record_dtype='float32'),
        recorded=recorded(tmp_path / 'rec'),
    )
    found = []
    for kind, config in kinds.items():
        config = distillation(partly, tmp_path / kind, config)
        runner = run(with_validation(config, data))
        found.append(kd_losses(runner).tolist())
        scalars = runner.message_hub.log_scalars
        losses = scalars['train/loss_cls'].data[0]
        assert len(losses) == 6 and (losses >= 0).all()
        (log,) = (tmp_path / kind).glob('*/*.log')
        assert log.read_text().count('5 of 10 clips have no label') == 1
    assert found[0] == found[1] and min(found[0]) > 0


def test_hard_labels_train_and_a_batch_may_lack_them(
    partly, data, teacher, tmp_path
):
    config = recipe(
        distiller(teacher), partly, tmp_path / 'run', default_hooks=HOOKS
    )
    config['train_dataloader']['batch_size'] = 1
    runner = run(with_validation(config, data))
    losses = runner.message_hub.get_scalar('train/loss_cls').data[0]
    assert (losses[::2] == 0).all() and (losses[1::2] > 0).all()
    accuracies = runner.message_hub.get_scalar('train/top1_acc').data[0]
    assert len(accuracies) == 10  # of 20 iterations


def test_a_model_without_a_teacher_refuses_them(partly, data, tmp_path):
    config = recipe(recognizer(), partly, tmp_path / 'run')
    with pytest.raises(UserError, match='has the label -1.*of a distill') as e:
        run(with_validation(config, data))
    assert 'list.txt, line 1' in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('mode', ['val', 'test'])
def test_validation_and_testing_refuse_them(
    partly, data, teacher, tmp_path, mode
):
    config = recipe(distiller(teacher), data, tmp_path / 'run')
    config[f'{mode}_dataloader']['dataset']['data_root'] = str(partly)
    with pytest.raises(UserError, match='list.txt, line 1.* label -1'):
        run(config, 'train' if mode == 'val' else 'test')


def test_mmaction2s_own_blending_refuses_them(partly, data, teacher, tmp_path):
    model = distiller(teacher)
    model['data_preprocessor']['blending'] = dict(
        type='MixupBlending', num_classes=NUM_CLASSES
    )
    config = recipe(model, partly, tmp_path / 'run')
    with pytest.raises(UserError, match='clip_0_0.*use MixupOrCutmix'):
        run(with_validation(config, data))
