"""Any recognizer teaches any other: MMAction2's, in miniature."""

import copy
from importlib.util import find_spec

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from small_recipe import NUM_CLASSES, recognizer

SIZE, FRAMES = 32, 4
needs_mmpretrain = pytest.mark.skipif(
    find_spec('mmpretrain') is None, reason='needs the extra `pretrain`'
)


def solid(backbone: dict, channels: int, head='I3DHead', **kwargs) -> dict:
    """A 3D recognizer."""
    kwargs |= dict(type=head, in_channels=channels, num_classes=NUM_CLASSES)
    return recognizer() | dict(
        backbone=backbone, cls_head=dict(kwargs, dropout_ratio=0.0)
    )


def plane(backbone: dict, channels: int, head='TSNHead', **kwargs) -> dict:
    """A 2D recognizer."""
    model = solid(backbone, channels, head, **kwargs)
    model['type'] = 'Recognizer2D'
    model['data_preprocessor'] = dict(
        model['data_preprocessor'], format_shape='NCHW'
    )
    return model


def tsm(segments: int) -> dict:
    backbone = dict(
        type='MobileNetV2TSM', num_segments=segments, widen_factor=0.25
    )
    return plane(
        backbone, 1280, 'TSMHead', num_segments=segments, is_shift=True
    )


RECOGNIZERS = dict(
    videofocalnet=recognizer(),
    slowonly=solid(
        dict(
            type='ResNet3dSlowOnly',
            depth=50,
            base_channels=4,
            conv1_kernel=(1, 7, 7),
            inflate=(0, 0, 1, 1),
            lateral=False,
        ),
        128,
    ),
    x3d=solid(
        dict(type='X3D', gamma_b=1.0, gamma_d=0.2),
        192,
        'X3DHead',
        fc1_bias=False,
    ),
    mvit=solid(
        dict(
            type='MViT',
            arch=dict(
                embed_dims=8, num_layers=2, num_heads=1, downscale_indices=[1]
            ),
            spatial_size=SIZE,
            temporal_size=FRAMES,
        ),
        16,
        'MViTHead',
    ),
    swin=solid(
        dict(
            type='SwinTransformer3D',
            arch=dict(
                embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]
            ),
            window_size=(2, 2, 2),
        ),
        64,
    )
    | dict(test_cfg=dict(max_testing_views=2)),  # as the released configs
    uniformer=solid(
        dict(
            type='UniFormer',
            depth=[1, 1, 1, 1],
            embed_dim=[8, 8, 16, 16],
            head_dim=8,
            img_size=SIZE,
        ),
        16,
    ),
    tsn=plane(dict(type='MobileNetV2', widen_factor=0.25), 1280),
    tsm=tsm(FRAMES),
    tsm8=tsm(2 * FRAMES),
    mmpretrain=plane(
        dict(type='mmpretrain.MobileNetV2', widen_factor=0.25), 1280
    ),
)
OTHERS = ('slowonly', 'x3d', 'mvit', 'swin', 'uniformer', 'tsn', 'tsm')
PAIRS = [
    *((name, 'videofocalnet') for name in OTHERS),
    *(('videofocalnet', name) for name in OTHERS),
    ('tsn', 'tsm'),
    ('tsm8', 'tsn'),
    ('tsm8', 'videofocalnet'),
    ('swin', 'tsm'),
    *(
        pytest.param(*pair, marks=needs_mmpretrain)
        for pair in (
            ('mmpretrain', 'videofocalnet'),
            ('videofocalnet', 'mmpretrain'),
        )
    ),
]


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """A function that writes a recognizer's weights once."""
    folder = tmp_path_factory.mktemp('teachers')
    init_default_scope('mmaction')

    def write(name):
        path = folder / f'{name}.pth'
        if not path.exists():
            model = MODELS.build(copy.deepcopy(RECOGNIZERS[name]))
            with torch.no_grad():
                for weight in model.cls_head.parameters():
                    weight.copy_(torch.randn_like(weight))
            torch.save(dict(state_dict=model.state_dict()), path)
        return str(path)

    return write


@pytest.mark.parametrize(('teacher', 'student'), PAIRS)
def test_a_pair_trains_the_student_only(teacher, student, checkpoints, log):
    torch.manual_seed(0)
    config = copy.deepcopy(RECOGNIZERS[student])
    model = MODELS.build(
        config
        | dict(
            type='Distill' + config['type'],
            alpha=1.0,
            teacher=dict(
                config=RECOGNIZERS[teacher], checkpoint=checkpoints(teacher)
            ),
        )
    )
    model.teacher.build(model)
    model.train()
    frozen = model.teacher.model
    before = copy.deepcopy(frozen.state_dict())
    clips = torch.randn(3, 1, 3, FRAMES, SIZE, SIZE)
    if config['type'] == 'Recognizer2D':
        clips = clips[:, 0].transpose(1, 2).contiguous()
    samples = [ActionDataSample().set_gt_label(i) for i in range(3)]
    losses = model(clips, samples, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss) and losses['loss_kd'] > 0
    gradients = [p.grad for p in model.parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in gradients)
    assert all(p.grad is None for p in frozen.parameters())
    assert all(
        torch.equal(value, before[key])
        for key, value in frozen.state_dict().items()
    )
    # The teacher is in eval mode: each clip has the logits it has alone.
    together = model.teacher.predict(clips)
    alone = torch.cat([model.teacher.predict(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)
    differs = teacher == 'tsm8'  # built for twice the frames
    warned = [r for r in log.records if r.levelname == 'WARNING']
    assert any('num_frames 8' in r.message for r in warned) == differs
