"""Configs that match weights of a given architecture."""

from dataclasses import replace

import pytest
from mmengine.config import Config
from small_recognizers import narrow_config

from dvfl_mmaction.checkpoints.architecture import (
    Architecture,
    list_differences,
    read_architecture,
)
from dvfl_mmaction.checkpoints.matching_configs import (
    changed_options,
    config_architecture,
    model_shapes,
    suggest_configs,
)
from dvfl_mmaction.models import VFLNetNano
from dvfl_mmaction.project_paths import find_configs

NANO = Architecture(
    embed_dim=96,
    depths=(1, 1, 2, 1),
    focal_levels=(2, 2, 2, 2),
    focal_windows=(3, 3, 3, 3),
    tubelet_size=1,
    in_channels=3,
    norms=('norm',),
    num_classes=101,
)


@pytest.mark.parametrize('path', find_configs(), ids=lambda path: path.stem)
def test_a_config_has_the_architecture_of_the_model_it_builds(path):
    model = Config.fromfile(path).model
    built = read_architecture(model_shapes(model))
    assert config_architecture(model) == built is not None


@pytest.mark.parametrize(
    'arguments',
    [
        dict(tubelet_size=2),
        dict(focal_levels=3, focal_windows=(3, 5, 3, 7)),
        dict(out_indices=(1,)),
        dict(out_indices=(0, -2)),
        dict(out_indices=(-1, 1)),
        dict(in_channels=10),
        dict(type='VFLNetNano', arch='nano'),
        dict(type='VFLNetNano'),
        dict(type='mmaction.VFLNetNano'),
        dict(type=VFLNetNano),
    ],
    ids=str,
)
def test_every_argument_of_the_backbone_counts(arguments):
    model = narrow_config()
    model['backbone'] |= arguments
    built = read_architecture(model_shapes(model))
    assert config_architecture(model) == built is not None


THREE = dict(depths=(2, 2, 2), focal_levels=(2, 2, 2), focal_windows=(3, 3, 3))


@pytest.mark.parametrize(
    ('wanted', 'initialise', 'differing'),
    [
        (dict(depths=(2, 2, 6, 2)), False, []),
        (dict(depths=(2, 2, 2, 2)), False, ['depths']),
        (dict(depths=(2, 2, 2, 2)), True, []),  # its first blocks
        (dict(depths=(2, 2, 7, 1)), True, ['depths']),
        (THREE, True, []),
        (THREE, False, ['depths', 'focal_levels', 'focal_windows']),
        (dict(embed_dim=128, tubelet_size=2), True, ['embed_dim']),
        (dict(tubelet_size=2), False, ['depths', 'tubelet_size']),
        (dict(in_channels=2, num_classes=9), True, []),
        (dict(depths=(2, 2, 6, 2), num_classes=9), False, ['num_classes']),
        (dict(depths=(2, 2, 6, 2), num_classes=None), False, []),
    ],
)
def test_only_an_initialisation_may_lack_parts(wanted, initialise, differing):
    found = replace(NANO, depths=(2, 2, 6, 2))
    target = replace(NANO, **wanted)
    lines = list_differences(found, target, initialise)
    assert [line.partition(' is ')[0] for line in lines] == differing


def test_another_backbone_has_no_such_architecture():
    backbone = dict(type='ResNet3d', depth=18, pretrained=None)
    assert config_architecture(dict(backbone=backbone)) is None


def test_configs_are_suggested_with_the_fewest_changes():
    assert suggest_configs(NANO) == (
        'configs/vflnet_ucf101.py or configs/vflnet_kd_ucf101.py'
    )
    changed = replace(NANO, num_classes=7, tubelet_size=2)
    assert suggest_configs(changed).endswith(
        ' with --cfg-options model.backbone.tubelet_size=2 '
        'model.cls_head.num_classes=7'
    )
    assert suggest_configs(replace(NANO, embed_dim=7)).startswith('not found')


def test_inputs_and_outputs_of_a_config_are_compared(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        'model = dict(cls_head=dict(num_classes=101), backbone=dict(\n'
        "    type='VFLNetNano', in_channels=10, out_indices=(1, 3)))\n"
    )
    assert suggest_configs(NANO, [path]).startswith('not found')
    flow = replace(NANO, in_channels=10)
    assert suggest_configs(flow, [path]) == str(path)
    for norms, is_found in ((('norm1', 'norm'), True), (('norm3',), False)):
        found = suggest_configs(replace(flow, norms=norms), [path])
        assert (found == str(path)) == is_found


def test_weights_without_a_head_need_no_number_of_classes():
    assert changed_options(NANO, replace(NANO, num_classes=None)) == []


def test_a_config_that_cannot_be_read_is_skipped(tmp_path):
    (tmp_path / 'draft.py').write_text('model = dict(')
    (tmp_path / 'other.py').write_text("model = dict(type='Mimic')\n")
    (tmp_path / 'mine.py').write_text(
        "model = dict(backbone=dict(type='VFLNetNano'),\n"
        '    cls_head=dict(num_classes=101))\n'
    )
    (tmp_path / 'gone.py').symlink_to(tmp_path / 'nowhere.py')
    paths = sorted(tmp_path.iterdir())
    assert suggest_configs(NANO, paths) == str(tmp_path / 'mine.py')


def test_a_changed_config_is_read_again(tmp_path):
    path = tmp_path / 'mine.py'
    text = "model = dict(backbone=dict(type='{}'))\n"
    path.write_text(text.format('VideoFocalNet'))
    assert suggest_configs(NANO, [path]).startswith('not found')
    path.write_text(text.format('VFLNetNano'))
    assert suggest_configs(NANO, [path]).startswith(str(path))
