"""ImageNet weights by name, from a local server that stands for the hosts."""

import json
import threading
from io import BytesIO
from pathlib import Path

import pytest
import torch
from released_outputs import DATA, draw_weights
from safetensors.torch import save

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints import named_weights
from dvfl_mmaction.checkpoints.architecture import ARCHS
from dvfl_mmaction.checkpoints.named_weights import (
    URLS,
    URLS_VARIABLE,
    addresses,
    find_weights,
)
from dvfl_mmaction.models import VFLNetNano, VideoFocalNet

NAME = 'focalnet_tiny_srf'
CLASSES, WIDTH = 10, 8
# Names and shapes of the release, and of timm 1.0.31's focalnet_tiny_srf.
RELEASED, TIMM = (
    json.loads((DATA.parent / f'{stem}.keys.json').read_text())
    for stem in (NAME, f'timm_{NAME}')
)


def narrow_shapes(keys, width=WIDTH):
    """Shapes of FocalNet-T with fewer channels and classes."""

    def shrink(name, shape):
        if name.startswith('head'):
            return [CLASSES, 8 * width][: len(shape)]
        gates = 3 if '.f.' in name else 0  # besides the channels
        small = [n if n < 16 else n * width // 96 for n in shape]
        return [(shape[0] - gates) * width // 96 + gates, *small[1:]]

    return {name: shrink(name, shape) for name, shape in keys.items()}


def released_weights(width=WIDTH):
    return {
        name: value.float()
        for name, value in draw_weights(narrow_shapes(RELEASED, width)).items()
    }


def as_pth(weights):
    file = BytesIO()
    torch.save({'model': weights}, file)
    return file.getvalue()


def as_timm(weights):
    """The same weights in timm's order, names and shapes."""
    shapes = narrow_shapes(TIMM)
    assert len(shapes) == len(weights)

    def released(name):
        stage = name.split('.')[1]
        if 'downsample' in name:
            name = name.replace(f'.{stage}.', f'.{int(stage) - 1}.', 1)
        return name.replace('stem', 'patch_embed').replace('head.fc', 'head')

    return save(
        {
            name: weights[released(name)].reshape(shape)
            for name, shape in shapes.items()
        }
    )


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder of the cache; FocalNet-T is 8 channels wide."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(named_weights, 'NUM_CLASSES', CLASSES)
    monkeypatch.setitem(
        ARCHS, 'tiny', dict(embed_dim=WIDTH, depths=(2, 2, 6, 2))
    )
    monkeypatch.setitem(
        ARCHS, 'nano', dict(embed_dim=WIDTH, depths=(1, 1, 2, 1))
    )
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def hosts(server, cache, monkeypatch):
    """A server whose /ms/ and /hf/ stand for the two hosts."""
    templates = (
        server.url('/ms/{name}.pth'),
        server.url('/hf/{name}/a.safetensors'),
    )
    monkeypatch.setenv(URLS_VARIABLE, ' '.join(templates))
    return server


def paths(server):
    return [path for path, _, _ in server.requests]


def names_in(folder):
    return {p.name for p in folder.iterdir() if p.suffix != '.lock'}


@pytest.mark.parametrize(
    'layout, network', [('microsoft', VFLNetNano), ('timm', VideoFocalNet)]
)
def test_a_backbone_starts_from_a_name(hosts, cache, layout, network):
    weights = released_weights()
    if layout == 'microsoft':
        hosts.files[f'/ms/{NAME}.pth'] = as_pth(weights)
    else:  # the first host does not have it
        hosts.files[f'/hf/{NAME}/a.safetensors'] = as_timm(weights)
    torch.manual_seed(3)
    alone = network()
    alone.init_weights()
    torch.manual_seed(3)
    net = network(pretrained=NAME)
    assert not hosts.requests  # building downloads nothing
    net.init_weights()
    for name, value in net.state_dict().items():
        wanted = weights.get(name, alone.state_dict()[name])
        assert torch.equal(value, wanted), name
    suffix = '.pth' if layout == 'microsoft' else '.safetensors'
    assert names_in(cache) == {NAME + suffix}
    hosts.requests.clear()
    network(pretrained=NAME).init_weights()
    assert not hosts.requests  # the second time it is in the cache


def test_the_addresses_are_those_of_the_releases(monkeypatch):
    monkeypatch.delenv(URLS_VARIABLE, raising=False)
    release, copy = addresses('focalnet_base_srf')
    assert release == (
        'https://github.com/microsoft/FocalNet/releases/download/v1.0.0/'
        'focalnet_base_srf.pth'
    )
    assert copy == (
        'https://huggingface.co/timm/focalnet_base_srf.ms_in1k/resolve/main/'
        'model.safetensors'
    )
    assert all('{name}' in url for url in URLS)
    monkeypatch.setenv(URLS_VARIABLE, 'https://mirror.example/weights.pth')
    with pytest.raises(UserError, match='with {name} in place of'):
        addresses(NAME)


def test_without_a_network_one_line_says_what_to_do(cache, monkeypatch):
    monkeypatch.setenv(
        URLS_VARIABLE,
        'https://a.invalid/{name}.pth https://b.invalid/{name}.safetensors',
    )
    with pytest.raises(UserError) as error:
        VFLNetNano(pretrained=NAME).init_weights()
    text = str(error.value)
    for part in (
        str(cache),
        f'https://a.invalid/{NAME}.pth (a.invalid cannot be reached',
        f'https://b.invalid/{NAME}.safetensors (b.invalid cannot be reached',
        f'put {NAME}.pth there',
        '--cfg-options model.backbone.pretrained=None',
    ):
        assert part in text
    assert '\n' not in text


def other_width():
    return as_pth(released_weights(width=16))


def another_class_count():
    weights = released_weights()
    weights['head.bias'] = torch.zeros(CLASSES + 1)
    return as_pth(weights)


def a_weight_of_another_shape():
    weights = released_weights()
    weights['layers.3.blocks.1.norm2.bias'] = torch.zeros(3)
    return as_pth(weights)


def other_channels():
    weights = released_weights()
    name = 'patch_embed.proj.weight'
    weights[name] = weights[name][:, :2].contiguous()
    return as_pth(weights)


@pytest.mark.parametrize(
    'content, fault',
    [
        (other_width, 'is not focalnet_tiny_srf but'),
        (another_class_count, r'its head: .*head.bias \(11,\)'),
        (a_weight_of_another_shape, r'layers.3.blocks.1.norm2.bias \(3,\)'),
        (other_channels, 'takes 3 channels'),
        (lambda: b'<html>', 'cannot be read as a checkpoint'),
    ],
)
def test_a_wrong_file_is_refused_and_the_next_address_tried(
    hosts, cache, content, fault
):
    hosts.files[f'/ms/{NAME}.pth'] = content()
    with pytest.raises(UserError, match=fault):
        find_weights(NAME)
    assert not names_in(cache)
    hosts.files[f'/hf/{NAME}/a.safetensors'] = as_timm(released_weights())
    assert find_weights(NAME) == cache / f'{NAME}.safetensors'


def test_a_wrong_file_in_the_cache_is_refused(cache):
    cache.mkdir(parents=True)
    (cache / f'{NAME}.pth').write_bytes(another_class_count())
    # It is dropped by a shallower network, but this is another file.
    with pytest.raises(UserError, match='is not focalnet_tiny_srf'):
        VFLNetNano(pretrained=NAME).init_weights()


def test_processes_that_need_the_same_file_download_it_once(hosts, cache):
    hosts.files[f'/ms/{NAME}.pth'] = as_pth(released_weights())
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(find_weights(NAME)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {cache / f'{NAME}.pth'} and len(found) == 4
    assert paths(hosts) == [f'/ms/{NAME}.pth']


def test_a_cache_that_cannot_be_written_is_reported(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'file'))
    with pytest.raises(UserError, match='cannot be written.*set TORCH_HOME'):
        find_weights(NAME)


def test_a_misspelt_name_is_refused_with_the_names():
    with pytest.raises(UserError, match='neither a file nor a name.*base_srf'):
        VFLNetNano(pretrained='focalnet_tiny').init_weights()
    assert not Path('focalnet_tiny').exists()
