"""A part that does not fit the backbone is refused, with the key to set."""

import pytest
import torch
from mmaction.registry import MODELS, RUNNERS
from mmengine.runner import Runner

from dvfl_mmaction import UserError
from dvfl_mmaction.models.pairing import check_parts

BACKBONE = dict(
    type='VideoFocalNet',
    arch=dict(embed_dim=8, depths=(1, 1)),
    out_indices=(1,),
)
HEAD = dict(num_classes=4, in_channels=16)
TSM = dict(num_segments=4, consensus=dict(type='AvgConsensus', dim=1))
BOTH = dict(out_indices=(0, 1))
I3D = r"set model.cls_head.type='I3DHead' and model.cls_head.in_channels=16"
TPN = dict(
    type='TPN',
    in_channels=(32, 64),
    out_channels=32,
    spatial_modulation_cfg=dict(in_channels=(32, 64), out_channels=64),
    level_fusion_cfg=dict(
        in_channels=(32, 32),
        mid_channels=(32, 32),
        out_channels=16,
        downsample_scales=((1, 1, 1), (1, 1, 1)),
    ),
)


def model(head, kind='Recognizer3D', backbone=None, **kwargs):
    return dict(
        type=kind,
        backbone=dict(BACKBONE, **(backbone or {})),
        cls_head=dict(HEAD, **head),
        **kwargs,
    )


REFUSED = {
    'channels': (
        model(dict(type='I3DHead', in_channels=768)),
        r'in_channels of I3DHead is 768 .*set model.cls_head.in_channels=16',
    ),
    'TimeSformerHead': (model(dict(type='TimeSformerHead')), I3D),
    'UniFormerHead': (model(dict(type='UniFormerHead')), I3D),
    'MViTHead': (model(dict(type='MViTHead')), I3D),
    'SlowFastHead': (model(dict(type='SlowFastHead')), I3D),
    'GCNHead': (model(dict(type='GCNHead')), I3D),
    'TSNHead on clips': (
        model(dict(type='TSNHead')),
        f"{I3D}, or set model.type='Recognizer2D'",
    ),
    'TSMHead on clips': (model(dict(type='TSMHead', **TSM)), I3D),
    'I3DHead on frames': (
        model(dict(type='I3DHead'), 'Recognizer2D'),
        "type='TSNHead'.*or set model.type='Recognizer3D'",
    ),
    'no pooling': (
        model(dict(type='I3DHead', spatial_type=None)),
        "set model.cls_head.spatial_type='avg'",
    ),
    'two outputs': (
        model(dict(type='I3DHead'), backbone=BOTH),
        r'returns 2, .*set model.backbone.out_indices=\(1,\)',
    ),
    'neck': (
        model(dict(type='TPNHead'), backbone=BOTH, neck=TPN),
        r'set model.neck.in_channels=\(8, 16\)',
    ),
    'head of a neck': (
        model(
            dict(type='TPNHead'),
            backbone=dict(BOTH, arch=dict(embed_dim=32, depths=(1, 1))),
            neck=TPN,
        ),
        r'neck TPN returns 2048 .*; set model.cls_head.in_channels=2048',
    ),
    'wider head of a neck': (
        model(
            dict(type='TPNHead', in_channels=4096),
            backbone=dict(BOTH, arch=dict(embed_dim=32, depths=(1, 1))),
            neck=TPN,
        ),
        'in_channels is 4096 but the neck TPN returns 2048',
    ),
    'mean': (
        model(
            dict(type='I3DHead'),
            backbone=dict(in_channels=2),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[1, 2, 3],
                std=[1, 1, 1],
                format_shape='NCTHW',
            ),
        ),
        'mean has 3 channels but model.backbone.in_channels is 2',
    ),
}


@pytest.mark.parametrize('config, message', REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_when_the_model_is_initialised(
    config, message
):
    built = MODELS.build(config)
    with pytest.raises(UserError, match=message) as caught:
        built.init_weights()
    assert '\n' not in str(caught.value)


FITTING = [
    model(dict(type='I3DHead')),
    model(dict(type='X3DHead')),
    model(dict(type='TPNHead')),
    model(dict(type='MViTHead', with_cls_token=False), backbone=BOTH),
    model(dict(type='TSNHead'), 'Recognizer2D'),
    model(dict(type='TSMHead', **TSM), 'Recognizer2D'),
    model(dict(type='TRNHead', num_segments=4), 'Recognizer2D'),
]


@pytest.mark.parametrize(
    'config', FITTING, ids=lambda config: config['cls_head']['type']
)
def test_what_fits_gives_scores(config):
    built = MODELS.build(config)
    built.init_weights()
    frames = config['type'] == 'Recognizer2D'
    shape = (1, 4, 3, 32, 32) if frames else (1, 1, 3, 4, 32, 32)
    assert built(torch.zeros(shape), stage='head').shape == (1, 4)


@pytest.mark.parametrize('kind', ['plain', 'checked'])
def test_runners_refuse_it_before_they_train(kind, tmp_path):
    config = dict(
        model=model(dict(type='I3DHead', in_channels=768)),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=1,
            dataset=[dict(inputs=torch.zeros(1))],
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_scope='mmaction',
        experiment_name=kind,
        log_level='ERROR',
    )
    with pytest.raises(UserError, match='cls_head.in_channels=16'):
        if kind == 'plain':
            Runner.from_cfg(config).train()
        else:
            RUNNERS.build(dict(config, runner_type='CheckedRunner'))


def test_a_model_without_head_is_accepted():
    built = MODELS.build(dict(type='Recognizer3D', backbone=BACKBONE))
    built.init_weights()
    check_parts(built)
