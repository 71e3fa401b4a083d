"""Every weight is accounted for."""

import pytest
import torch
from small_recognizers import as_released, narrow

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.convert_file import convert_file


def test_every_unknown_weight_is_listed_with_its_shape(tmp_path):
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


def test_paths_from_the_home_folder_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))
    weights = as_released(narrow().state_dict())
    torch.save({'model': weights}, tmp_path / 'src.pth')
    assert convert_file('~/src.pth', '~/dst.pth', 'released')
    assert (tmp_path / 'dst.pth').is_file()
    with pytest.raises(UserError, match='is the source itself'):
        convert_file('~/src.pth', str(tmp_path / 'src.pth'))


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
            lambda w: without(w, 'norm.weight'),
            r'missing: backbone.norm.weight \(64,\)',
        ),
        (
            lambda w: w | {'norm3.weight': torch.ones(64)},
            r'not in the model: norm3.weight \(64,\)',
        ),
        (
            lambda w: w | {'norm1.bias': torch.ones(16)},
            r'not in the model: norm1.bias \(16,\)',
        ),
        (
            lambda w: w | {STEM: torch.ones(8, 0, 4, 4)},
            r'is incomplete: .* in_channels 0',
        ),
        (
            lambda w: w | {'layers.0.blocks.0.gamma_1': torch.ones(8)},
            r'layers.0.blocks.0.gamma_1 \(8,\)',
        ),
        (
            lambda w: without(w, BLOCK + 'mlp.fc1.bias'),
            r'missing: backbone.layers.2.blocks.1.mlp.fc1.bias '
            r'\(128,\)',
        ),
        (
            lambda w: without(w, BLOCK + 'modulation.f_temporal.bias'),
            'missing',
        ),
        (
            lambda w: w | {BLOCK + 'norm1.bias': torch.ones(9)},
            r'shape differs from the model: .*norm1.bias \(9,\)',
        ),
        (
            lambda w: w | {'layers.0.downsample.proj.2.bias': torch.ones(2)},
            'has weights that Video-FocalNet and FocalNet .* do not',
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
            r'not plain floating-point numbers: norm.bias \(64,\) .*int64',
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
            r'is incomplete: .* focal_windows \(0, 3, 3, 3\)',
        ),
        (
            lambda w: w | {'layers.9.blocks.0.norm1.weight': torch.ones(8)},
            r'is incomplete: .* depths \(1, 1, 2, 1, 1\)',
        ),
    ],
)
def test_a_weight_that_is_not_accounted_for_is_an_error(
    tmp_path, change, message
):
    weights = change(as_released(narrow().state_dict()))
    torch.save({'model': weights}, tmp_path / 'src.pth')
    with pytest.raises(UserError, match=message) as caught:
        convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    assert str(tmp_path / 'src.pth') in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ['src.pth']


def test_what_is_dropped_need_not_be_finite(tmp_path):
    """As the head of a 2-D network, whose classes are not used."""
    weights = as_released(narrow().state_dict())
    weights = {k: v for k, v in weights.items() if 'temporal' not in k}
    weights['head.bias'] = torch.full((1000,), torch.nan)
    torch.save({'model': weights}, tmp_path / 'src.pth')
    convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
    weights['norm.bias'] = torch.full((64,), torch.inf)
    torch.save({'model': weights}, tmp_path / 'src.pth')
    with pytest.raises(UserError, match='infinite values in 1 of its weights'):
        convert_file(str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth'))
