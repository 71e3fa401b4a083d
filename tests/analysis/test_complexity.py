"""Multiply-adds and parameters, against the papers and by hand."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.complexity import complexity
from dvfl_mmaction.analysis.configs import load_config
from dvfl_mmaction.analysis.sample_input import find_modality
from dvfl_mmaction.datasets import ClipDecode
from dvfl_mmaction.distillation import DistillRecognizer3D
from dvfl_mmaction.models import VideoFocalNet

ROOT = Path(__file__).parents[2]
SMALL = dict(
    model=dict(
        type='Recognizer3D',
        backbone=dict(
            type='VideoFocalNet',
            out_indices=(0,),
            arch=dict(embed_dim=4, depths=(1,)),
        ),
        cls_head=dict(type='I3DHead', in_channels=4, num_classes=3),
        data_preprocessor=dict(
            type='ActionDataPreprocessor', format_shape='NCTHW'
        ),
    ),
    val_pipeline=[
        dict(type='UniformSample', clip_len=2),
        dict(type='ClipDecode'),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ],
)


def test_a_config_counts_what_the_papers_count():
    found = complexity(load_config(str(ROOT / 'configs/vflnet_kd_ucf101.py')))
    assert found.shape == (1, 3, 8, 224, 224)
    assert found.macs / 1e9 == pytest.approx(27.1, rel=0.005)
    assert found.parameters / 1e6 == pytest.approx(22.2, rel=0.005)
    more = complexity(load_config(str(ROOT / 'configs/vflnet_k400.py')), 101)
    assert more == found


def test_a_layer_is_counted_by_hand(tmp_path):
    imports = dict(custom_imports=dict(imports=['dvfl_mmaction']))
    Config(SMALL | imports).dump(str(tmp_path / 'linear.py'))
    found = complexity(load_config(str(tmp_path / 'linear.py')))
    # At each of 2 x 8 x 8 positions: the patch, 4 x 4 x 3 values to 4.
    patch = 48 * 4
    # f to 2 C + 3, depthwise 3 x 3 and 5 x 5, h.
    space = 4 * 11 + (9 + 25) * 4 + 4 * 4
    # f_temporal to C + 3, dense 3 and 5, h_temporal; proj; MLP of ratio 4.
    along_time = 4 * 7 + (3 + 5) * 4 * 4 + 4 * 4
    rest = 4 * 4 + 2 * 4 * 16
    # Once per clip: the head, 4 to 3.
    assert found.macs == 128 * (patch + space + along_time + rest) + 4 * 3
    assert found.shape == (1, 3, 2, 32, 32)


@pytest.mark.parametrize(
    'kind', ['mmaction.DistillRecognizer3D', DistillRecognizer3D]
)
def test_types_may_have_a_scope_or_be_classes(kind):
    cfg = copy.deepcopy(SMALL)
    cfg['model'] |= dict(type=kind, teacher=dict(config='c', checkpoint='d'))
    cfg['model']['backbone']['type'] = VideoFocalNet
    cfg['val_pipeline'][1]['type'] = ClipDecode
    cfg['val_pipeline'][2]['type'] = 'mmaction.Resize'
    assert complexity(cfg) == complexity(SMALL)
    cfg['val_pipeline'][1]['type'] = 'mmaction.PoseDecode'
    with pytest.raises(UserError, match='give one that reads videos'):
        complexity(cfg)


def test_flow_has_two_channels_per_field():
    config = ROOT / 'configs/recipes/vflnet_flow_k400.py'
    found = complexity(load_config(str(config)))
    assert found.shape == (8, 10, 224, 224)  # 8 frames of 5 fields
    # 7 channels more than RGB: 8 x 56 x 56 patches of 4 x 4 to 96.
    more = 8 * 56 * 56 * 16 * 7 * 96
    assert (found.macs - more) / 1e9 == pytest.approx(27.1, rel=0.005)


def test_skeletons_are_refused():
    config = ROOT / 'configs/recipes/vflnet_posec3d_ntu60.py'
    with pytest.raises(UserError, match='give one that reads videos'):
        complexity(load_config(str(config)))


def test_the_modality_is_that_of_a_wrapped_data_set():
    inner = dict(type='VideoDataset', modality='Flow')
    for dataset in (
        inner,
        dict(type='RepeatDataset', times=2, dataset=inner),
        dict(type='ConcatDataset', datasets=[dict(inner), dict(inner)]),
    ):
        cfg = dict(val_dataloader=dict(dataset=dataset))
        assert find_modality(cfg) == 'Flow'
    assert find_modality(dict(test_dataloader=None)) == 'RGB'


@pytest.mark.parametrize(
    ('recipe', 'num_classes', 'message'),
    [
        ('two_heads', None, 'RecognizerOmni, is not a recognizer with one'),
        ('two_heads', 7, 'OmniHead, has no num_classes to replace; leave'),
        ('features', 7, 'FeatureHead, has no num_classes to replace'),
        ('ava', None, 'FastRCNN, is not a recognizer with one head'),
        ('ava', 7, 'None, has no num_classes to replace'),
    ],
)
def test_what_has_no_head_of_classes_is_refused(recipe, num_classes, message):
    config = ROOT / f'configs/recipes/vflnet_{recipe}.py'
    with pytest.raises(UserError, match=message):
        complexity(load_config(str(config)), num_classes)
