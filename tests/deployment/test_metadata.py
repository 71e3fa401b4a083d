"""Metadata of other versions and of other programs is refused."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from mmaction.datasets.transforms import Resize
from mmengine.config import Config

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.export import load_source
from dvfl_mmaction.deployment.metadata import make_metadata, parse_metadata

WHOLE = dict(
    format=1,
    kind='clip',
    classes=None,
    num_classes=4,
    clip_len=8,
    size=[32, 32],
    dynamic=[],
    pipeline=[dict(type='Resize', scale=[32, 32])],
)


def parse(text):
    return parse_metadata(text, Path('model.onnx'))


def test_metadata_of_this_version_is_read_with_tuples():
    step = dict(keys=[], scales=[[1, 2], [0.5]], names=['a', 1])
    whole = WHOLE | dict(pipeline=[*WHOLE['pipeline'], step])
    found = parse(json.dumps(whole))
    assert found['pipeline'] == [
        dict(type='Resize', scale=(32, 32)),
        dict(keys=[], scales=[(1, 2), (0.5,)], names=['a', 1]),
    ]
    assert found['num_classes'] == 4


@pytest.mark.parametrize(
    'content, message',
    [
        (dict(format=2), 'of format 2 but .* update dvfl_mmaction'),
        (WHOLE | dict(format=3, kind=7), 'of format 3 but .* update dvfl_mma'),
        (WHOLE | dict(format='1'), 'without a format number; write it with'),
        (WHOLE | dict(format=True), 'without a format number'),
        (WHOLE | dict(format=0), 'without a format number'),
        (WHOLE | dict(format=1.5), 'without a format number'),
        (dict(name='of another program'), 'without a format number'),
        ([1], 'without a format number'),
        (dict(format=1), 'whose kind is missing or of another type; w'),
        (WHOLE | dict(pipeline=None), 'whose pipeline is missing or'),
        (WHOLE | dict(size=32), 'whose size is missing or'),
        (WHOLE | dict(classes='a'), 'whose classes is missing or'),
    ],
)
def test_other_metadata_is_refused(content, message):
    with pytest.raises(UserError, match=f'model.onnx has metadata {message}'):
        parse(json.dumps(content))


@pytest.mark.parametrize('text', ['{', 'text', '[' * 100_000])
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(UserError, match='has unreadable metadata; write it'):
        parse(text)


@pytest.mark.parametrize('text', ['', None])
def test_a_file_without_metadata_is_refused(text):
    with pytest.raises(UserError, match='no metadata of dvfl_mmaction; write'):
        parse(text)


def config_with(step, **backbone):
    loader = dict(dataset=dict(pipeline=[dict(type='ClipInit'), step]))
    head = dict(type='I3DHead', num_classes=4)
    model = dict(backbone=backbone, cls_head=head)
    return Config(dict(model=model, test_dataloader=loader))


def make(folder, cfg):
    weights = folder / 'weights.pth'
    weights.write_bytes(b'weights')
    return make_metadata(cfg, '/a/b.py', str(weights), None, (8, 8), 4)


def test_no_folder_of_this_machine_is_in_the_metadata(tmp_path):
    cfg = config_with(
        dict(type='Resize', scale=(32, 32)),
        type='VideoFocalNet',
        pretrained='/home/ann/imagenet.pth',
        init_cfg=[dict(type='Pretrained', checkpoint='C:\\ann\\a.pth')],
    )
    found = make(tmp_path, cfg)
    assert found['backbone']['pretrained'] == 'imagenet.pth'
    assert found['backbone']['init_cfg'][0]['checkpoint'] == 'a.pth'
    assert 'ann' not in json.dumps(found)
    cfg.model.backbone.pretrained = 'imagenet'
    assert make(tmp_path, cfg)['backbone']['pretrained'] == 'imagenet'


def test_classes_have_their_names_and_objects_are_refused(tmp_path):
    step = dict(type=Resize, scale=(32, 32))
    found = make(tmp_path, config_with(step, type='VideoFocalNet'))
    assert found['pipeline'][1] == dict(type='Resize', scale=[32, 32])
    step['scale'] = np.array([32, 32])
    with pytest.raises(
        UserError, match=r'the pipeline of the config is array\(\[32, 32\]\)'
    ):
        make(tmp_path, config_with(step, type='VideoFocalNet'))


def test_frames_and_size_are_those_of_the_test(source):
    steps = copy.deepcopy(list(source.cfg.test_dataloader.dataset.pipeline))
    steps[1] = dict(steps[1], clip_len=6)
    steps[3] = dict(type='Resize', scale=(56, 48), keep_ratio=False)
    steps.insert(4, dict(type='ThreeCrop', crop_size=48))
    found = load_source(
        source.config,
        source.checkpoint,
        {'test_dataloader.dataset.pipeline': steps},
    )
    assert (found.clip_len, found.size) == (6, (48, 48))
