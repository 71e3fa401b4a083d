"""Initialising a network from 2-D weights or from a deeper network."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from released_outputs import DATA, draw_weights
from small_recognizers import as_released, narrow

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.architecture import ARCHS
from dvfl_mmaction.checkpoints.convert_file import convert_file
from dvfl_mmaction.models import VideoFocalNet

ROOT = Path(__file__).parents[2]
IMAGE_KEYS = json.loads(
    (DATA.parent / 'focalnet_tiny_srf.keys.json').read_text()
)
STEM = 'patch_embed.proj.weight'


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def image_weights(width=8, classes=10):
    """Weights of a FocalNet-T with fewer classes and channels."""

    def shrink(name, shape):
        if name.startswith('head'):
            return [classes, 8 * width][: len(shape)]
        gates = 3 if '.f.' in name else 0  # besides the channels
        small = [n if n < 16 else n * width // 96 for n in shape]
        if gates:
            small[0] = (shape[0] - gates) * width // 96 + gates
        return small

    return draw_weights({k: shrink(k, v) for k, v in IMAGE_KEYS.items()})


@pytest.mark.parametrize('tubelet_size', [1, 2])
@pytest.mark.parametrize('arch', ['nano', 'tiny'])
def test_image_weights_initialise_the_spatial_parts(
    tmp_path, arch, tubelet_size
):
    weights = image_weights()
    path = str(tmp_path / 'focalnet.pth')
    torch.save({'model': weights}, path)
    shape = dict(
        arch=dict(embed_dim=8, depths=ARCHS[arch]['depths']),
        tubelet_size=tubelet_size,
    )
    torch.manual_seed(3)
    alone = VideoFocalNet(**shape).double()
    alone.init_weights()
    own = alone.state_dict()
    torch.manual_seed(3)
    net = VideoFocalNet(pretrained=path, **shape).double()
    net.init_weights()
    for name, value in net.state_dict().items():
        if 'temporal' in name:
            assert torch.equal(value, own[name]), name
        elif name == STEM and tubelet_size > 1:
            torch.testing.assert_close(value.sum(2), weights[name])
            assert torch.equal(value[:, :, 0], value[:, :, 1])
        else:
            assert torch.equal(value, weights[name]), name


@pytest.mark.parametrize('tubelet_size', [1, 2])
@pytest.mark.parametrize('in_channels', [2, 17])
def test_a_stem_of_other_channels_takes_the_mean_over_them(
    tmp_path, caplog, tubelet_size, in_channels
):
    weights = image_weights()
    path = str(tmp_path / 'focalnet.pth')
    torch.save({'model': weights}, path)
    net = VideoFocalNet(
        dict(embed_dim=8, depths=ARCHS['nano']['depths']),
        in_channels=in_channels,
        tubelet_size=tubelet_size,
        pretrained=path,
    ).double()
    log = MMLogger.get_current_instance()
    log.addHandler(caplog.handler)
    net.init_weights()
    log.removeHandler(caplog.handler)
    stem = net.state_dict()[STEM]
    assert stem.shape[:2] == (8, in_channels)
    if tubelet_size > 1:
        stem = stem.sum(2)
    for channel in stem.unbind(1):
        torch.testing.assert_close(channel, weights[STEM].mean(1))
    assert f'{STEM} averaged over its input channels' in caplog.text


def test_a_stem_of_equal_channels_is_not_averaged(tmp_path):
    weights = narrow('nano', in_channels=2).state_dict()
    torch.save({'model': as_released(weights)}, tmp_path / 'flow.pth')
    net = narrow(
        'nano', in_channels=2, pretrained=str(tmp_path / 'flow.pth')
    ).backbone
    net.init_weights()
    assert torch.equal(net.state_dict()[STEM], weights[f'backbone.{STEM}'])


def test_an_image_file_is_converted_for_a_config(tmp_path):
    weights = {k: torch.zeros(v) for k, v in IMAGE_KEYS.items()}
    src, dst = str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')
    torch.save({'model': weights}, src)
    options = {'model.backbone.tubelet_size': 2}
    lines = convert_file(src, dst, 'configs/vflnet_ucf101.py', options, True)
    assert 'is a released 2-D FocalNet' in lines[0]
    assert 'backbone.patch_embed.proj.weight inflated over time' in lines[3]
    for line in (
        'dropped  head.weight',
        'dropped  layers.2.blocks.2.norm1.weight',
        'mapped   layers.2.blocks.1.norm1.weight -> '
        'backbone.layers.2.blocks.1.norm1.weight',
        'initial  cls_head.fc_cls.weight',
        'initial  backbone.layers.0.blocks.0.modulation.h_temporal.bias',
    ):
        assert line in lines
    accounted = [x for x in lines if x.startswith(('mapped ', 'dropped '))]
    assert len(accounted) == len(weights)
    assert Path(dst).stat().st_size <= Path(src).stat().st_size
    for to, message in (
        ('released', 'without temporal weights'),
        ('configs/videofocalnet_small_ucf101.py', 'depths is'),
    ):
        with pytest.raises(UserError, match=message):
            convert_file(src, str(tmp_path / 'other.pth'), to)


def test_pretrained_takes_a_released_video_file(tmp_path):
    source = narrow('tiny')
    released = as_released(source.state_dict())
    torch.save({'model': released}, tmp_path / 'src.pth')
    net = narrow('nano', pretrained=str(tmp_path / 'src.pth')).backbone
    net.init_weights()
    for name, value in net.state_dict().items():
        assert torch.equal(value, released[name]), name
    deeper = narrow('small', pretrained=str(tmp_path / 'src.pth')).backbone
    with pytest.raises(UserError, match=r'depths is \(2, 2, 6, 2\) in the'):
        deeper.init_weights()


@pytest.mark.parametrize(
    'arch, name',
    [
        ('nano', 'focalnet_tiny_srf'),
        ('tiny', 'focalnet_tiny_srf'),
        ('small', 'focalnet_small_srf'),
        ('base', 'focalnet_base_srf'),
        (dict(embed_dim=96, depths=(2, 2, 6, 2)), 'focalnet_tiny_srf'),
    ],
)
def test_imagenet_means_the_weights_of_the_architecture(arch, name):
    with torch.device('meta'):
        assert VideoFocalNet(arch, pretrained='imagenet').pretrained == name


def test_another_architecture_has_no_imagenet_weights():
    arch = dict(embed_dim=8, depths=(1, 1))
    net = VideoFocalNet(arch, out_indices=(1,), pretrained='imagenet')
    assert net.pretrained is None
    net.init_weights()
