"""Losses, state and teacher of the student."""

import copy

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from small_recipe import NUM_CLASSES, distiller, recognizer

from dvfl_mmaction import UserError
from dvfl_mmaction.distillation import kl_divergence
from dvfl_mmaction.distillation.distill_recognizer import entropy


def batch(soft=False, size=3):
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(size, 1, 3, 4, 32, 32, generator=generator)
    labels = torch.arange(size) % NUM_CLASSES
    if soft:
        labels = torch.rand(size, NUM_CLASSES, generator=generator)
        labels = labels / labels.sum(-1, keepdim=True)
    samples = []
    for label in labels:
        sample = ActionDataSample()
        sample.set_gt_label(label if soft else int(label))
        samples.append(sample)
    return inputs, samples


@pytest.mark.parametrize('alpha', [0.0, 0.3, 0.7, 1.0])
def test_the_total_is_alpha_kd_plus_1_minus_alpha_ce(teacher, build, alpha):
    torch.manual_seed(0)
    student = build(
        distiller(
            teacher,
            alpha=alpha,
            loss_kd=dict(type='KLDivergenceLoss', temperature=5.0),
        )
    )
    inputs, samples = batch()
    losses = student(inputs, samples, mode='loss')
    total, _ = student.parse_losses(losses)

    logits = student(inputs, stage='head')
    labels = torch.tensor([0, 1, 2])
    ce = torch.nn.functional.cross_entropy(logits, labels)
    kd = kl_divergence(logits, student.teacher.logits(inputs), 5.0)
    torch.testing.assert_close(total, alpha * kd + (1 - alpha) * ce)
    assert kd > 0.01


def test_the_papers_values_are_the_defaults(teacher):
    student = MODELS.build(distiller(teacher))
    assert student.alpha == 0.3
    assert student.loss_kd.temperature == 10.0


def test_soft_labels_enter_the_loss(student):
    inputs, samples = batch(soft=True)
    losses = student(inputs, samples, mode='loss')
    soft = torch.stack([s.gt_label for s in samples])
    log_q = student(inputs, stage='head').log_softmax(-1)
    expected = 0.7 * -(soft * log_q).sum(-1).mean()
    torch.testing.assert_close(losses['loss_cls'], expected)


def test_both_entropies_and_the_agreement_are_logged(student):
    inputs, samples = batch()
    losses = student(inputs, samples, mode='loss')
    t = student.teacher.logits(inputs)
    s = student(inputs, stage='head')
    torch.testing.assert_close(losses['teacher_entropy'], entropy(t))
    torch.testing.assert_close(losses['student_entropy'], entropy(s).detach())
    same = (t.argmax(-1) == s.argmax(-1)).float().mean()
    assert losses['teacher_agreement'] == same


def test_entropy_of_a_fair_die_and_of_a_certain_outcome():
    fair = torch.zeros(1, 6, dtype=torch.float64)
    sure = torch.tensor([[100.0, 0, 0, 0, 0, 0]], dtype=torch.float64)
    assert entropy(fair).item() == pytest.approx(1.791759469)
    assert entropy(sure).item() == pytest.approx(0, abs=1e-9)


def test_the_state_dict_holds_only_the_student(student):
    plain = MODELS.build(recognizer())
    assert student.state_dict().keys() == plain.state_dict().keys()
    assert len(list(student.parameters())) == len(list(plain.parameters()))
    assert not [n for n, _ in student.named_modules() if 'teacher' in n]
    plain.load_state_dict(student.state_dict())  # strict


def test_the_teachers_weights_and_mode_do_not_change(student):
    before = copy.deepcopy(student.teacher.model.state_dict())
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    own = copy.deepcopy(student.state_dict())
    student.train()
    for _ in range(2):
        optimizer.zero_grad()
        losses = student(*batch(), mode='loss')
        student.parse_losses(losses)[0].backward()
        optimizer.step()
    teacher = student.teacher.model
    assert not any(m.training for m in teacher.modules())
    assert all(p.grad is None for p in teacher.parameters())
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(p.grad.abs().sum() > 0 for p in student.parameters())
    moved = [k for k, v in student.state_dict().items() if (v != own[k]).any()]
    assert 'cls_head.fc_cls.weight' in moved


def test_the_teacher_is_deterministic_while_the_student_trains(teacher, build):
    teacher['config']['backbone']['drop_path_rate'] = 0.9
    student = build(distiller(teacher))
    student.train()
    inputs, _ = batch()
    answers = [student.teacher.logits(inputs) for _ in range(3)]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_teacher_and_student_get_the_same_blended_tensor(teacher, build):
    config = distiller(teacher)
    config['data_preprocessor']['blending'] = dict(
        type='MixupBlending', num_classes=NUM_CLASSES, alpha=0.8
    )
    student = build(config)
    seen = []
    for model in (student, student.teacher.model):
        model.backbone.register_forward_pre_hook(
            lambda _, args: seen.append(args[0])
        )
    inputs, samples = batch()
    raw = dict(inputs=list(inputs), data_samples=samples)
    data = student.data_preprocessor(raw, training=True)
    student(**data, mode='loss')
    assert seen[0].data_ptr() == seen[1].data_ptr()
    assert torch.equal(seen[0].flatten(), data['inputs'].flatten())
    plain = MODELS.build(recognizer()).data_preprocessor(
        dict(inputs=list(batch()[0]), data_samples=batch()[1])
    )
    assert not torch.equal(data['inputs'], plain['inputs'])  # it was blended


def test_the_teacher_is_converted_with_the_student(student):
    student.double()
    assert next(student.teacher.model.parameters()).dtype == torch.float64
    inputs, samples = batch()
    student(inputs.double(), samples, mode='loss')
    student.to('meta')
    assert next(student.teacher.model.parameters()).is_meta


def test_a_copy_shares_the_teacher(student):
    twin = copy.deepcopy(student)
    assert twin.teacher is student.teacher
    assert twin.backbone is not student.backbone


def test_a_teacher_changes_no_random_draw(teacher, build):
    torch.manual_seed(3)
    plain = MODELS.build(recognizer())
    plain.init_weights()
    after_plain = torch.rand(3)
    torch.manual_seed(3)
    student = build(distiller(teacher))
    assert torch.equal(torch.rand(3), after_plain)
    for key, value in plain.state_dict().items():
        assert torch.equal(student.state_dict()[key], value), key


def test_kl_is_float32_under_bf16_autocast(student):
    inputs, samples = batch()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = student(inputs, samples, mode='loss')
    assert losses['loss_kd'].dtype == torch.float32
    assert losses['loss_cls'].dtype == torch.float32
    exact = student(inputs, samples, mode='loss')
    torch.testing.assert_close(
        losses['loss_cls'], exact['loss_cls'], rtol=0.02, atol=0
    )


def test_testing_needs_no_teacher():
    missing = dict(config='nowhere.py', checkpoint='nowhere.pth')
    student = MODELS.build(distiller(missing)).eval()
    inputs, samples = batch()
    with torch.no_grad():
        out = student(inputs, samples, mode='predict')
    assert out[0].pred_score.shape == (NUM_CLASSES,)


def test_a_2d_recognizer_can_be_distilled(tmp_path):
    config = dict(
        type='Recognizer2D',
        backbone=dict(type='ResNet', depth=18, norm_eval=False),
        cls_head=dict(
            type='TSNHead', num_classes=5, in_channels=512, dropout_ratio=0
        ),
    )
    torch.manual_seed(0)
    model = MODELS.build(config)
    torch.save(model.state_dict(), tmp_path / 'teacher.pth')
    student = MODELS.build(
        config
        | dict(
            type='DistillRecognizer2D',
            teacher=dict(
                config=config, checkpoint=str(tmp_path / 'teacher.pth')
            ),
        )
    )
    student.init_weights()
    inputs = torch.randn(2, 3, 3, 32, 32)  # (B, T, C, H, W)
    _, samples = batch(size=2)
    losses = student(inputs, samples, mode='loss')
    assert student.teacher.logits(inputs).shape == (2, 5)
    assert losses['loss_kd'] > 0
    model.eval()
    torch.testing.assert_close(
        student.teacher.logits(inputs),
        model.cls_head(model.extract_feat(inputs)[0], num_segs=3),
    )


@pytest.mark.parametrize('alpha', [-0.1, 1.5, float('nan')])
def test_alpha_out_of_range_is_refused(teacher, alpha):
    with pytest.raises(UserError, match='alpha is .* from 0 .* to 1'):
        MODELS.build(distiller(teacher, alpha=alpha))


@pytest.mark.parametrize(
    'teacher', [None, dict(config='a.py'), dict(config='a', chekpoint='b')]
)
def test_a_teacher_is_a_config_and_a_checkpoint(teacher):
    with pytest.raises(UserError, match=r'give dict\(config=FILE, check'):
        MODELS.build(distiller(teacher))


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(type='Oracle'), "'Oracle'; give one of FrozenTeacher"),
        (dict(type='RecordedTeacher'), r'give dict\(path=FOLDER\)'),
        (
            dict(config='c', record_to='x'),
            'checkpoint=FILE, record_to=FOLDER',
        ),
        (
            dict(config='c', checkpoint='x', epochs=3),
            'config=FILE, checkpoint=FILE',
        ),
    ],
)
def test_a_teacher_with_other_keys_is_rejected(wrong, message):
    with pytest.raises(UserError, match=message):
        MODELS.build(distiller(wrong))
