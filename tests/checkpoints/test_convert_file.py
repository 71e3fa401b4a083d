"""Converted weights are the right ones, and faults give one line."""

import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_checkpoints import Call
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from released_outputs import DATA, NAMES, draw_clips, draw_weights
from safetensors.torch import load_file, save_file
from small_recognizers import (
    NUM_CLASSES,
    as_released,
    assert_same,
    narrow,
    narrow_config,
    weights_of,
)
from warm_process import run_script

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.architecture import ARCHS
from dvfl_mmaction.checkpoints.convert_file import convert_file

ROOT = Path(__file__).parents[2]
WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(1)}
CONFIGS = dict(
    nano='configs/vflnet_ucf101.py',
    tiny='configs/videofocalnet_tiny_ucf101.py',
)


# test_video_focalnet_parity.py compares all four; each kind is enough here.
@pytest.mark.parametrize(
    'name', [name for name in NAMES if name != 'nano_8x224x224']
)
def test_converted_recognizers_give_the_released_logits(tmp_path, name):
    stored = np.load(DATA / f'{name}.npz')
    meta = json.loads(str(stored['meta']))
    keys = json.loads((DATA / f'{name}.keys.json').read_text())
    torch.save({'model': draw_weights(keys), 'epoch': 1}, tmp_path / 'src.pth')
    options = {
        'model.cls_head.num_classes': meta['num_classes'],
        'model.data_preprocessor.blending': None,
        'model.backbone.tubelet_size': meta['tubelet_size'],
    }
    config, dst = CONFIGS[meta['arch']], str(tmp_path / 'dst.pth')
    convert_file(str(tmp_path / 'src.pth'), dst, config, options)
    assert Path(dst).stat().st_size <= (tmp_path / 'src.pth').stat().st_size

    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    cfg.model.cls_head.average_clips = None  # logits, not probabilities
    model = MODELS.build(cfg.model).eval().double()
    load_checkpoint(model, dst, strict=True)
    preprocessor = model.data_preprocessor
    pixels = draw_clips(meta) * preprocessor.std + preprocessor.mean
    data = dict(
        inputs=[clip[None] for clip in pixels],
        data_samples=[ActionDataSample() for _ in pixels],
    )
    with torch.no_grad():
        results = model.test_step(data)
    logits = torch.stack([r.pred_score.flatten() for r in results])
    stored = torch.from_numpy(stored['logits'])
    torch.testing.assert_close(logits, stored, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    'kwargs', [*(dict(arch=arch) for arch in ARCHS), dict(tubelet_size=2)]
)
@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_round_trip_through_released_is_exact(tmp_path, kwargs, suffix):
    weights = narrow(**kwargs).state_dict()
    src, there, back = (
        str(tmp_path / f'{name}.{suffix}') for name in ('src', 'there', 'back')
    )
    src = str(tmp_path / 'src.pth')
    torch.save(dict(state_dict=weights), src)
    convert_file(src, there, to='released')
    convert_file(there, back)
    convert_file(back, str(tmp_path / 'released.pth'), to='released')
    read = load_file if suffix == 'safetensors' else weights_of
    assert_same(read(there), as_released(weights))
    assert_same(read(back), weights)
    assert_same(weights_of(tmp_path / 'released.pth'), as_released(weights))


RECIPES = ('vflnet_flow_k400', 'vflnet_posec3d_ntu60')


@pytest.mark.parametrize('recipe', RECIPES)
def test_a_recipe_of_other_channels_is_converted_both_ways(tmp_path, recipe):
    path = f'configs/recipes/{recipe}.py'
    model = Config.fromfile(path).model
    depths = model.backbone.get('arch', ARCHS['nano'])['depths']
    model.backbone.arch = dict(embed_dim=8, depths=depths)
    model.cls_head.in_channels = 8 * 2 ** (len(depths) - 1)
    weights = MODELS.build(model).state_dict()
    src, there, back, known = (
        str(tmp_path / f'{name}.pth') for name in 'abcd'
    )
    torch.save(dict(state_dict=weights), src)
    lines = convert_file(src, there, to='released')
    assert f'in_channels {model.backbone.in_channels}' in lines[2]
    convert_file(there, back)
    assert_same(weights_of(back), weights)
    options = {
        'model.backbone.arch': model.backbone.arch,
        'model.cls_head.in_channels': model.cls_head.in_channels,
    }
    convert_file(back, known, path, options)
    assert_same(weights_of(known), weights)
    options['model.backbone.in_channels'] = 3
    with pytest.raises(UserError, match='in_channels is .* wanted: 3;'):
        convert_file(back, known, path, options)


@pytest.mark.parametrize(
    ('out_indices', 'norms'),
    [
        ((0,), ['norm0']),
        ((2,), ['norm2']),
        ((0, 2), ['norm0', 'norm2']),
        ((1, -1), ['norm1', 'norm']),
    ],
)
def test_outputs_of_earlier_stages_are_converted(tmp_path, out_indices, norms):
    model = narrow_config(out_indices=out_indices)
    last = max(i % 4 for i in out_indices)
    model['cls_head']['in_channels'] = 8 * 2**last
    weights = MODELS.build(model).state_dict()
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    torch.save(dict(state_dict=weights), src)
    with pytest.raises(
        UserError, match=f'norms {norms[0]}.* cannot hold'
    ) as e:
        convert_file(str(src), str(dst), to='released')
    assert '\n' not in str(e.value) and not dst.exists()
    convert_file(str(src), str(dst))
    assert_same(weights_of(dst), weights)
    meta = torch.load(dst, weights_only=True)['meta']
    assert meta['architecture']['norms'] == norms


def test_output_names_its_source(src):
    dst = str(src.with_name('dst.pth'))
    lines = convert_file(str(src), dst, list_keys=True)
    meta = torch.load(dst, weights_only=True)['meta']
    assert meta['converted_from']['sha256'] in lines[0]
    assert meta['converted_from']['file'] == 'src.pth'
    assert meta['converted_from']['layout'] == 'a released video model'
    assert meta['architecture']['depths'] == [1, 1, 2, 1]
    assert meta['architecture']['num_classes'] == NUM_CLASSES
    assert meta['dvfl_mmaction_version']
    count = len(narrow().state_dict())
    assert f'{count} weights mapped; 0 dropped' in lines[3]
    assert len([x for x in lines if x.startswith('mapped ')]) == count


def test_the_matching_config_is_named(tmp_path):
    keys = json.loads((DATA / 'nano_8x224x224.keys.json').read_text())
    weights = {k: v.half() for k, v in draw_weights(keys).items()}
    torch.save({'model': weights}, tmp_path / 'src.pth')
    lines = convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    classes = keys['head.bias'][0]
    named = re.search(r'for (configs/vflnet_\w+\.py)(.*)', lines[-1])
    cfg = Config.fromfile(named[1])
    if cfg.model.cls_head.num_classes != classes:
        assert f'model.cls_head.num_classes={classes}' in named[2]


@pytest.mark.parametrize(
    'config, options, difference',
    [
        ('videofocalnet_tiny', {}, r'depths is \(1, 1, 2, 1\) in the file'),
        ('vflnet', {'cls_head.num_classes': 7}, 'num_classes is 101 in the'),
        ('vflnet', {'backbone.tubelet_size': 2}, 'tubelet_size is 1 in the'),
        ('vflnet', {'backbone.focal_windows': 5}, 'focal_windows is '),
        ('videofocalnet_base', {}, 'embed_dim is 96 in the file, wanted: 128'),
    ],
)
def test_a_config_that_does_not_match_is_refused(
    tmp_path, config, options, difference
):
    keys = json.loads((DATA / 'nano_8x224x224.keys.json').read_text())
    keys |= {'head.weight': [101, 768], 'head.bias': [101]}
    weights = {k: torch.zeros(v) for k, v in keys.items()}
    torch.save({'model': weights}, tmp_path / 'src.pth')
    options = {f'model.{k}': v for k, v in options.items()}
    with pytest.raises(UserError, match=difference) as caught:
        convert_file(
            str(tmp_path / 'src.pth'),
            str(tmp_path / 'dst.pth'),
            f'configs/{config}_ucf101.py',
            options,
        )
    assert 'configs/vflnet_ucf101.py' in str(caught.value)
    assert not (tmp_path / 'dst.pth').exists()


def test_a_teacher_and_a_student_load_the_output(tmp_path):
    model = narrow()
    src, dst = str(tmp_path / 'src.safetensors'), str(tmp_path / 'dst.pth')
    save_file(as_released(model.state_dict()), src)
    convert_file(src, dst)
    student = narrow_config('tiny')
    student |= dict(
        type='DistillRecognizer3D',
        teacher=dict(config=narrow_config(), checkpoint=dst),
        alpha=0.3,
        loss_kd=dict(type='KLDivergenceLoss', temperature=10.0),
    )
    student = MODELS.build(student)
    student.init_weights()
    assert_same(student.teacher.model.state_dict(), model.state_dict())
    for suffix in ('pth', 'safetensors'):
        dst = str(tmp_path / f'dst.{suffix}')
        convert_file(src, dst)
        plain = narrow()
        load_checkpoint(plain, dst, strict=True)
        assert_same(plain.state_dict(), model.state_dict())


def test_the_tool_prints_the_report_or_one_line(src):
    def run_tool(*words):
        return run_script(ROOT / 'tools/convert_checkpoint.py', *words)

    done = run_tool(src, src.with_name('dst.pth'))
    assert done.returncode == 0, done.stderr
    assert 'weights mapped; 0 dropped on purpose: none; 0 keep' in done.stdout
    src.write_bytes(src.read_bytes()[:-500])
    done = run_tool(src, src.with_name('other.pth'))
    assert done.returncode == 1
    assert done.stderr.startswith('\nerror: ')
    assert done.stderr.strip().count('\n') == 0


def truncated(path):
    torch.save({'model': WEIGHTS}, path)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_safetensors(path):
    save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-3])


def no_safetensors(path):
    path.write_bytes(b'\xff' * 40)


def zip_of_a_text(path):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('readme.txt', 'hello')


def pickle_with_code(path):
    path.write_bytes(pickle.dumps({'model': Call(os.system, 'true')}))


def checkpoint_with_code(path):
    torch.save({'model': WEIGHTS, 'x': Call(os.system, 'true')}, path)


def a_list(path):
    torch.save([torch.ones(1)], path)


def text(path):
    path.write_text('<html>404</html>')


@pytest.mark.parametrize(
    'write, name, message',
    [
        (truncated, 'src.pth', 'is truncated'),
        (truncated_safetensors, 'src.safetensors', 'cannot be read'),
        (no_safetensors, 'src.safetensors', 'cannot be read'),
        (zip_of_a_text, 'src.pth', 'cannot be read as a checkpoint'),
        (pickle_with_code, 'src.pkl', 'contains code.*system'),
        (checkpoint_with_code, 'src.pth', 'contains code.*system'),
        (a_list, 'src.pth', 'holds a list, not a checkpoint'),
        (text, 'src.pth', 'cannot be read'),
        (lambda path: None, 'src.pth', 'was not found'),
    ],
)
def test_a_faulty_file_gives_one_line_and_no_output(
    tmp_path, write, name, message
):
    src = tmp_path / name
    write(src)
    before = list(tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as caught:
        convert_file(str(src), str(tmp_path / 'dst.pth'))
    assert str(src) in str(caught.value)
    assert '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == before
