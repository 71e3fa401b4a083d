"""Multiply-adds and parameters, against the papers and by hand."""

from pathlib import Path

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.complexity import complexity
from dvfl_mmaction.analysis.configs import load_config

ROOT = Path(__file__).parents[2]


def test_a_config_counts_what_the_papers_count():
    found = complexity(load_config(str(ROOT / 'configs/vflnet_kd_ucf101.py')))
    assert found.shape == (1, 3, 8, 224, 224)
    assert found.macs / 1e9 == pytest.approx(27.1, rel=0.005)
    assert found.parameters / 1e6 == pytest.approx(22.2, rel=0.005)
    more = complexity(load_config(str(ROOT / 'configs/vflnet_k400.py')), 101)
    assert more == found


def test_a_layer_is_counted_by_hand(tmp_path):
    (tmp_path / 'linear.py').write_text(
        "model = dict(type='Recognizer3D',\n"
        "  backbone=dict(type='VideoFocalNet', out_indices=(0,),\n"
        '    arch=dict(embed_dim=4, depths=(1,))),\n'
        "  cls_head=dict(type='I3DHead', in_channels=4, num_classes=3),\n"
        "  data_preprocessor=dict(type='ActionDataPreprocessor',\n"
        "    format_shape='NCTHW'))\n"
        "val_pipeline = [dict(type='UniformSample', clip_len=2),\n"
        "  dict(type='ClipDecode'), dict(type='Resize', scale=(32, 32),\n"
        "  keep_ratio=False), dict(type='FormatShape',\n"
        "  input_format='NCTHW'), dict(type='PackActionInputs')]\n"
        "custom_imports = dict(imports=['dvfl_mmaction'])\n"
    )
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
