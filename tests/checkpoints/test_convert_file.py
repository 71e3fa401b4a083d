"""Weights that come in are those that were meant, and all accounted for."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
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

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.convert_file import convert_file
from dvfl_mmaction.models.video_focalnet import ARCHS

ROOT = Path(__file__).parents[2]
CONFIGS = dict(
    nano='configs/vflnet_ucf101.py',
    tiny='configs/videofocalnet_tiny_ucf101.py',
)


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize('name', NAMES)
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
    model = MODELS.build(cfg.model).eval()
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        model.to(dtype)
        load_checkpoint(model, dst, strict=True)
        preprocessor = model.data_preprocessor
        pixels = draw_clips(meta) * preprocessor.std + preprocessor.mean
        data = dict(
            inputs=[clip[None].to(dtype) for clip in pixels],
            data_samples=[ActionDataSample() for _ in pixels],
        )
        with torch.no_grad():
            results = model.test_step(data)
        logits = torch.stack([r.pred_score.flatten() for r in results])
        torch.testing.assert_close(
            logits.double(),
            torch.from_numpy(stored['logits']),
            rtol=0,
            atol=tolerance,
        )


@pytest.mark.parametrize(
    'kwargs', [*(dict(arch=arch) for arch in ARCHS), dict(tubelet_size=2)]
)
@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_there_and_back_is_the_identity(tmp_path, kwargs, suffix):
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


@pytest.mark.parametrize('prefix', ['', 'module.', 'module._orig_mod.'])
@pytest.mark.parametrize('container', ['', 'model', 'state_dict'])
@pytest.mark.parametrize('names', [dict, as_released])
def test_every_way_to_save_weights_is_recognised(
    tmp_path, prefix, container, names
):
    weights = narrow().state_dict()
    saved = {prefix + k: v for k, v in names(weights).items()}
    if container:
        saved = {container: saved, 'optimizer': {'state': {0: torch.ones(9)}}}
    torch.save(saved, tmp_path / 'src.pth')
    lines = convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    assert_same(weights_of(tmp_path / 'dst.pth'), weights)
    assert ('optimizer' in lines[1]) == bool(container)


def test_output_says_what_it_was_made_of(tmp_path):
    src, dst = str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')
    torch.save({'model': as_released(narrow().state_dict())}, src)
    lines = convert_file(src, dst, list_keys=True)
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


@pytest.mark.parametrize('saver', ['mmengine', 'timm', 'released'])
def test_averaged_weights_are_taken_and_named(tmp_path, saver):
    average, last = narrow().state_dict(), narrow().state_dict()
    raw = {f'module.{k}': v for k, v in last.items()}
    saved = dict(
        mmengine=dict(
            state_dict=average,  # MMEngine swaps the two as it saves
            ema_state_dict=raw | {'steps': torch.tensor(3)},
        ),
        timm=dict(state_dict=last, state_dict_ema=average),
        released=dict(model=as_released(last), model_ema=as_released(average)),
    )[saver]
    torch.save(saved, tmp_path / 'src.pth')
    lines = convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    assert_same(weights_of(tmp_path / 'dst.pth'), average)
    assert 'averaged over training (EMA), which are taken' in lines[1]


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
        ('videofocalnet_base', {}, 'embed_dim is 96 in the file, 128 wanted'),
    ],
)
def test_a_config_that_does_not_match_is_refused_with_the_difference(
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


def test_every_weight_that_has_no_place_is_listed_with_its_shape(tmp_path):
    weights = as_released(narrow().state_dict())
    added = {f'layers.0.adapter.{i}.weight': (i, 3) for i in range(1, 15)}
    weights |= {name: torch.zeros(shape) for name, shape in added.items()}
    torch.save({'model': weights}, tmp_path / 'src.pth')
    with pytest.raises(UserError) as caught:
        convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    for name, shape in added.items():
        assert f'{name} {shape}' in str(caught.value)
    assert 'more' not in str(caught.value)
    assert not (tmp_path / 'dst.pth').exists()


def without(weights, name):
    return {k: v for k, v in weights.items() if k != name}


STEM = 'patch_embed.proj.weight'
BLOCK = 'layers.2.blocks.1.'
LEVEL = 'layers.0.blocks.0.modulation.focal_layers.0.0.weight'


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda w: w | {'gamma': torch.ones(3)}, r'gamma \(3,\)'),
        (
            lambda w: w | {'layers.0.blocks.0.gamma_1': torch.ones(8)},
            r'layers.0.blocks.0.gamma_1 \(8,\)',
        ),
        (
            lambda w: without(w, BLOCK + 'mlp.fc1.bias'),
            r'wanted and not there: backbone.layers.2.blocks.1.mlp.fc1.bias '
            r'\(128,\)',
        ),
        (
            lambda w: without(w, BLOCK + 'modulation.f_temporal.bias'),
            'wanted and not there',
        ),
        (
            lambda w: w | {BLOCK + 'norm1.bias': torch.ones(9)},
            r'of another shape than in the model: .*norm1.bias \(9,\)',
        ),
        (
            lambda w: w | {'layers.0.downsample.proj.2.bias': torch.ones(2)},
            'has weights that none has',
        ),
        (lambda w: without(w, STEM), 'no patch_embed.proj.weight'),
        (lambda w: {'fc.weight': torch.ones(2, 3)}, r'fc.weight \(2, 3\)'),
        (lambda w: w | {'epoch': 3}, r'epoch \(int\)'),
        (lambda w: {}, 'has nothing under model'),
        (
            lambda w: w | {'norm.bias': torch.full((64,), torch.nan)},
            r'NaN or infinite values in 1 of its weights: norm.bias \(64,\)',
        ),
        (
            lambda w: w | {'norm.bias': torch.ones(64, dtype=torch.long)},
            r'no plain floating-point numbers: norm.bias \(64,\) .*int64',
        ),
        (
            lambda w: w | {'norm.bias': torch.ones(64).to_sparse()},
            r'norm.bias \(64,\) \(torch.sparse_coo\); give a checkpoint',
        ),
        (
            lambda w: {k: v.to('meta') for k, v in w.items()},
            r'\(no values\), and 122 more; give a checkpoint',
        ),
        (
            lambda w: w | {LEVEL: torch.ones(())},
            r'is not whole: .* focal_windows \(0, 3, 3, 3\)',
        ),
        (
            lambda w: w | {'layers.9.blocks.0.norm1.weight': torch.ones(8)},
            r'is not whole: .* depths \(1, 1, 2, 1, 1\)',
        ),
    ],
)
def test_what_is_not_accounted_for_is_an_error(tmp_path, change, message):
    weights = change(as_released(narrow().state_dict()))
    torch.save({'model': weights}, tmp_path / 'src.pth')
    with pytest.raises(UserError, match=message) as caught:
        convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    assert str(tmp_path / 'src.pth') in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ['src.pth']


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


def test_a_view_is_written_without_what_it_is_a_view_of(tmp_path):
    weights = as_released(narrow().state_dict())
    whole = torch.ones(1000, 64)
    weights['head.weight'] = whole[:NUM_CLASSES]
    weights['layers.0.blocks.0.mlp.fc1.weight'] = torch.ones(8, 32).T
    torch.save({'model': weights}, tmp_path / 'src.pth')
    for name in ('dst.pth', 'dst.safetensors'):
        convert_file(str(tmp_path / 'src.pth'), str(tmp_path / name))
        size = (tmp_path / name).stat().st_size
        assert size < (tmp_path / 'src.pth').stat().st_size - whole.nbytes / 2


def test_the_tool_prints_the_account_or_one_line(tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, ROOT / 'tools/convert_checkpoint.py', *words],
            capture_output=True,
            text=True,
            env=os.environ | {'PYTHONPATH': str(ROOT)},
        )

    src = tmp_path / 'src.pth'
    torch.save({'model': as_released(narrow().state_dict())}, src)
    done = run(src, tmp_path / 'dst.pth')
    assert done.returncode == 0, done.stderr
    assert 'weights mapped; 0 dropped on purpose: none; 0 left' in done.stdout
    src.write_bytes(src.read_bytes()[:-500])
    done = run(src, tmp_path / 'other.pth')
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
