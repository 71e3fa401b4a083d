"""Configs become data and back; what is no data is named."""

import json

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.metadata import plain
from dvfl_mmaction.deployment.package_config import (
    LEFT_OUT,
    RESERVED,
    check_data,
    from_data,
    to_data,
    to_plain,
    without_folder,
)
from dvfl_mmaction.models import VFLNetNano

MODEL = dict(
    type='Recognizer3D',
    backbone=dict(type='VFLNetNano'),
    cls_head=dict(type='I3DHead', num_classes=4, in_channels=8),
)


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [
        ('/home/ann/a.pth', 'a.pth'),
        ('~/data/list.txt', 'list.txt'),
        (r'C:\data\list.txt', 'list.txt'),
        (r'\\server\share\list.txt', 'list.txt'),
        ('data/list.txt', 'data/list.txt'),
        ('C:list.txt', 'C:list.txt'),  # relative to a folder
        ('https://host/a.pth', 'https://host/a.pth'),
        ('/* a comment\nof two lines */', '/* a comment\nof two lines */'),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(text, wanted):
    assert without_folder(text) == wanted


def test_plain_values_return_from_json():
    value = dict(
        none=None,
        flags=[True, False],
        numbers=(1, -2.5, (0,), ()),
        nested=[dict(scale=(-1, 256))],
    )
    assert from_data(json.loads(json.dumps(to_plain(value, 'x')))) == value


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (float('inf'), 'x.a of the config is inf, which is no data'),
        (float('nan'), 'x.a of the config is nan'),
        (print, 'x.a of the config is <built-in function print>'),
        ({1: 2}, 'x.a of the config is the key 1,'),
        ({None: 2}, 'x.a of the config is the key None,'),
        ({0: 2}, 'x.a of the config is the key 0,'),
        ({'__tuple__': []}, "x.a of the config is the key '__tuple__'"),
    ],
)
def test_what_json_cannot_hold_is_refused(value, message):
    with pytest.raises(UserError, match='no data; wanted: dicts') as caught:
        to_plain(dict(a=value), 'x')
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('VFLNetNano', 'VFLNetNano'),
        ('mmaction.VFLNetNano', 'VFLNetNano'),
        ('dvfl_mmaction.models.video_focalnet.VFLNetNano', 'VFLNetNano'),
        (VFLNetNano, 'VFLNetNano'),
        ('mmaction.TheirNet', None),
        ('theirs.VFLNetNano', None),
        ('mmengine.Resize', None),  # MMCV's
        (type('VFLNetNano', (), dict(__module__='theirs')), None),
        ([].append, None),
    ],
)
def test_a_registered_class_is_written_by_its_name(kind, name):
    model = dict(MODEL, backbone=dict(type=kind, focal_levels=(2, 2, 2, 2)))
    if name is None:
        with pytest.raises(UserError, match=r'^model\.backbone'):
            to_data(dict(model=model))
        return
    data, dropped = to_data(dict(model=model))
    assert not dropped and from_data(data)['model'] == dict(
        MODEL, backbone=dict(type=name, focal_levels=(2, 2, 2, 2))
    )
    check_data(data, 'config.json')
    assert plain([dict(type=kind)], 'the pipeline') == [dict(type=name)]


def test_only_parts_of_the_training_are_left_out():
    cfg = dict(
        model=MODEL | dict(_scope_='mmaction'),
        test_pipeline=[dict(type='ClipInit')],
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)
        ),
        visualizer=dict(type='Visualizer', _scope_='mmengine'),
        work_dir='/home/ann/work',
        load_from='a.pth',
        resume=True,
        launcher='none',
        experiment_name='first',
        custom_imports=dict(imports=['theirs']),
        custom_hooks=[dict(type='TheirHook')],
        key_function=len,
    )
    data, dropped = to_data(cfg)
    assert not {*data} & {*LEFT_OUT}
    kept = {'model', 'test_pipeline', 'optim_wrapper', 'visualizer'}
    assert data.keys() - kept == {'default_scope', 'custom_imports'}
    assert data['custom_imports']['imports'] == ['dvfl_mmaction']
    hook, function = dropped
    assert hook.startswith("custom_hooks.0: type names 'TheirHook'")
    assert function.startswith('key_function of the config is <built-in')
    check_data(data, 'config.json')
    for key, theirs in (
        ('model', dict(MODEL, type='TheirModel')),
        ('model', dict(MODEL, _scope_='theirs')),
        ('test_pipeline', [dict(type='ClipInit', read=len)]),
    ):
        with pytest.raises(UserError, match=f'^{key}'):
            to_data(cfg | {key: theirs})


@pytest.mark.parametrize('key', RESERVED)
def test_keys_that_mmengine_reserves_are_refused(key):
    with pytest.raises(UserError, match=f"has the key '{key}', which"):
        check_data(dict(model=MODEL) | {key: 'x'}, 'config.json')


@pytest.mark.parametrize('data', [[], None, {}, dict(model='Recognizer3D')])
def test_a_file_without_a_model_is_refused(data):
    with pytest.raises(UserError, match='config.json has no model; give'):
        check_data(data, 'config.json')
