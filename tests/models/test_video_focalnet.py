"""Sizes, arguments, initialisation and gradients of the backbone."""

import pytest
import torch
from mmaction.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

from dvfl_mmaction import UserError
from dvfl_mmaction.models import VFLNetNano, VideoFocalNet

SMALL = dict(embed_dim=8, depths=(1, 2))


def small(**kwargs):
    return VideoFocalNet(SMALL, out_indices=(1,), **kwargs)


def clips(frames=4, height=32, width=32, batch=2):
    generator = torch.Generator().manual_seed(1)
    shape = (batch, 3, frames, height, width)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize(
    'arch, millions',
    [('nano', 22.2), ('tiny', 49.3), ('small', 88.5), ('base', 157.1)],
)
def test_parameters_are_the_papers(arch, millions):
    with torch.device('meta'):
        net = VideoFocalNet(arch)
        head = torch.nn.Linear(net.norm.normalized_shape[0], 101)
    count = sum(p.numel() for m in (net, head) for p in m.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(
    'arch, gmacs',
    [('nano', 27.1), ('tiny', 63.0), ('small', 124.3), ('base', 220.6)],
)
def test_multiply_adds_are_the_papers(arch, gmacs):
    with torch.device('meta'), torch.no_grad():
        net = VideoFocalNet(arch)
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, 8, 224, 224))
    macs = counter.get_total_flops() / 2  # two FLOPs per multiply-add
    assert macs / 1e9 == pytest.approx(gmacs, rel=0.005)


def test_vflnet_is_the_nano_preset():
    with torch.device('meta'):
        nano, net = VFLNetNano(), VideoFocalNet('nano')
    assert isinstance(nano, VideoFocalNet)
    assert {k: v.shape for k, v in nano.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    assert nano.layers[3].blocks[0].drop_path.drop_prob == 0.2


@pytest.mark.parametrize(
    'arch, rate', [('tiny', 0.2), ('small', 0.3), ('base', 0.5)]
)
def test_drop_path_rises_to_the_rate_of_the_architecture(arch, rate):
    with torch.device('meta'):
        net = VideoFocalNet(arch)
    rates = [b.drop_path.drop_prob for s in net.layers for b in s.blocks]
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(rate)
    assert rates == sorted(rates)


@pytest.mark.parametrize(
    'size, grid',
    [
        ((32, 32), (1, 1)),
        ((112, 112), (3, 3)),  # 28, 14, 7, then 3: floored
        ((63, 95), (1, 2)),
    ],
)
def test_sizes_that_do_not_divide_are_floored(size, grid):
    net = VideoFocalNet(dict(embed_dim=8, depths=(1, 1, 1, 1)))
    out = net(clips(2, *size, batch=1))
    assert out.shape == (1, 64, 2, *grid)


def test_floored_sizes_at_every_stage():
    net = VideoFocalNet(
        dict(embed_dim=8, depths=(1, 1, 1, 1)), out_indices=(0, 1, 2, 3)
    )
    outs = net(clips(2, 112, 112, batch=1))
    assert [o.shape[-1] for o in outs] == [28, 14, 7, 3]
    assert [o.shape[1] for o in outs] == [8, 16, 32, 64]


@pytest.mark.parametrize('frames', [1, 3, 8, 16])
def test_any_number_of_frames(frames):
    net = small().eval()
    assert net(clips(frames)).shape == (2, 16, frames, 4, 4)


@pytest.mark.parametrize('out_indices', [(1,), (0, 1)])
def test_a_frame_is_a_clip_of_one_frame(out_indices):
    net = VideoFocalNet(SMALL, out_indices=out_indices).eval()
    frames = clips(1, 32, 40)[:, :, 0]
    outs, wanted = net(frames), net(frames[:, :, None])
    if len(out_indices) == 1:
        outs, wanted = [outs], [wanted]
    for out, clip in zip(outs, wanted, strict=True):
        assert out.dim() == 4
        assert torch.equal(out, clip[:, :, 0])


def test_frames_are_independent_of_each_other():
    net = small().eval()
    frames = clips(1, batch=3)[:, :, 0]
    apart = torch.cat([net(frame) for frame in frames.split(1)])
    torch.testing.assert_close(net(frames), apart)


@pytest.mark.parametrize('in_channels', [1, 2, 17])
def test_other_input_channels(in_channels):
    net = small(in_channels=in_channels)
    assert net(torch.zeros(1, in_channels, 2, 32, 32)).shape[1] == 16
    assert net(torch.zeros(1, in_channels, 32, 32)).shape[1] == 16
    assert net.patch_embed.proj.in_channels == in_channels


@pytest.mark.parametrize('out_indices', [(1,), (0, 1), (0,)])
def test_outputs_are_contiguous_and_have_the_stated_channels(out_indices):
    net = VideoFocalNet(SMALL, out_indices=out_indices)
    for x in (clips(), clips()[:, :, 0]):
        outs = net(x)
        outs = [outs] if len(out_indices) == 1 else outs
        assert all(out.is_contiguous() for out in outs)
        assert net.num_features == tuple(out.shape[1] for out in outs)


def test_one_module_takes_clips_of_different_sizes():
    net = small().eval()
    first = net(clips(4, 32, 32))
    net(clips(6, 40, 64))
    torch.testing.assert_close(net(clips(4, 32, 32)), first)


def test_no_tensor_stays_on_a_module_after_forward():
    net = small()
    before = {id(m): set(vars(m)) for m in net.modules()}
    net(clips()).sum().backward()
    for module in net.modules():
        assert set(vars(module)) == before[id(module)]
        kept = [k for k, v in vars(module).items() if torch.is_tensor(v)]
        assert not kept


def test_every_parameter_gets_a_gradient():
    net = VideoFocalNet(SMALL, out_indices=(0, 1))
    sum(o.square().sum() for o in net(clips())).backward()
    silent = [k for k, p in net.named_parameters() if p.grad is None]
    assert not silent


def test_stages_after_the_last_index_are_not_built():
    net = VideoFocalNet(SMALL, out_indices=(0,))
    assert net(clips()).shape == (2, 8, 4, 8, 8)
    net(clips()).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_drop_path_rises_over_stages_that_are_not_built():
    arch = dict(embed_dim=8, depths=(2, 2))
    net = VideoFocalNet(arch, out_indices=(0,), drop_path_rate=0.3)
    rates = [b.drop_path.drop_prob for b in net.layers[0].blocks]
    assert rates == pytest.approx([0, 0.1])


@pytest.mark.parametrize('last', range(4))
def test_the_least_size_is_that_of_the_stages_that_are_built(last):
    arch = dict(embed_dim=8, depths=(1, 1, 1, 1))
    net = VideoFocalNet(arch, out_indices=(last,))
    side = 4 * 2**last
    assert net(torch.randn(1, 3, 2, side, side)).shape[-2:] == (1, 1)
    with pytest.raises(UserError, match=f'{side} or more per side'):
        net(torch.randn(1, 3, 2, side, side - 1))


def test_negative_indices_count_from_the_end():
    net = VideoFocalNet(SMALL, out_indices=(-1,))
    assert net.out_indices == (1,)


@pytest.mark.parametrize('tubelet_size, frames', [(2, 4), (4, 8)])
def test_tubelets_divide_the_frames(tubelet_size, frames):
    net = small(tubelet_size=tubelet_size)
    out = net(clips(frames))
    assert out.shape[2] == frames // tubelet_size


def test_checkpointing_changes_no_gradient():
    plain, cp = small(), small(with_cp=True)
    cp.load_state_dict(plain.state_dict())
    for net in (plain, cp):
        net(clips()).square().sum().backward()
    for a, b in zip(plain.parameters(), cp.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_checkpointing_repeats_the_draws_of_drop_path():
    net = VideoFocalNet(
        SMALL, out_indices=(1,), drop_path_rate=0.5, with_cp=True
    )
    plain = VideoFocalNet(SMALL, out_indices=(1,), drop_path_rate=0.5)
    plain.load_state_dict(net.state_dict())
    for model in (net, plain):
        torch.manual_seed(3)
        model(clips()).square().sum().backward()
    for a, b in zip(plain.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(
    'frozen, prefixes',
    [
        (-1, ()),
        (0, ('patch_embed',)),
        (1, ('patch_embed', 'layers.0')),
        (2, ('patch_embed', 'layers.0', 'layers.1')),
    ],
)
def test_frozen_stages_do_not_learn_and_stay_in_eval(frozen, prefixes):
    net = small(frozen_stages=frozen, drop_path_rate=0.5).train()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad != name.startswith(
            prefixes or ('none',)
        )
    assert net.patch_embed.training == (frozen < 0)
    assert net.layers[0].blocks[0].drop_path.training == (frozen < 1)
    assert net.train() is net


def test_norm_eval_keeps_norms_in_eval():
    net = small(norm_eval=True).train()
    assert not net.layers[0].blocks[0].norm1.training
    assert net.layers[0].blocks[0].mlp.training


def test_linear_layers_are_initialised_as_in_the_paper():
    net = VideoFocalNet(dict(embed_dim=64, depths=(1, 1)), out_indices=(1,))
    net.init_weights()
    weight = net.layers[1].blocks[0].mlp.fc1.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert net.layers[1].blocks[0].mlp.fc1.bias.abs().max() == 0
    assert (net.norm.weight == 1).all()


def test_an_empty_init_cfg_keeps_pytorchs_weights():
    net = small(init_cfg=[])
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.init_weights()
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.'])
def test_pretrained_loads_a_network_of_the_same_shape(tmp_path, prefix):
    source = small()
    weights = {prefix + k: v for k, v in source.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'net.pth')
    net = small(pretrained=str(tmp_path / 'net.pth'))
    net.init_weights()
    for key, value in net.state_dict().items():
        assert torch.equal(value, source.state_dict()[key]), key


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('norm.bias', (3,)),
        # Only the stem is averaged over its input channels.
        ('layers.0.downsample.proj.weight', (16, 3, 2, 2)),
    ],
)
def test_pretrained_of_another_shape_is_refused(tmp_path, name, shape):
    weights = small().state_dict()
    weights[name] = torch.zeros(shape)
    torch.save(dict(state_dict=weights), tmp_path / 'net.pth')
    net = small(pretrained=str(tmp_path / 'net.pth'))
    with pytest.raises(UserError) as error:
        net.init_weights()
    assert f'{name} {shape}' in str(error.value)


def test_pretrained_tubelets_of_another_length_are_refused(tmp_path):
    weights = small(tubelet_size=2).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'net.pth')
    net = small(pretrained=str(tmp_path / 'net.pth'), tubelet_size=4)
    with pytest.raises(UserError, match='tubelet_size is 2 in the file, want'):
        net.init_weights()


def test_init_cfg_of_a_recognizers_checkpoint(tmp_path):
    source = small()
    weights = {'backbone.' + k: v for k, v in source.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'net.pth')
    net = small(
        init_cfg=dict(
            type='Pretrained',
            checkpoint=str(tmp_path / 'net.pth'),
            prefix='backbone.',
        )
    )
    net.init_weights()
    for key, value in net.state_dict().items():
        assert torch.equal(value, source.state_dict()[key])


def test_pretrained_of_another_network_is_refused(tmp_path):
    torch.save(dict(fc=torch.zeros(3)), tmp_path / 'other.pth')
    net = small(pretrained=str(tmp_path / 'other.pth'))
    with pytest.raises(
        UserError, match=r'other.pth is not a FocalNet.*fc \(3,\)'
    ):
        net.init_weights()


def test_compiles_into_one_graph():
    net = small().eval()
    compiled = torch.compile(net, fullgraph=True, backend='aot_eager')
    x = clips()
    torch.testing.assert_close(compiled(x), net(x))
    train = small(drop_path_rate=0.0).train()
    compiled = torch.compile(train, fullgraph=True, backend='aot_eager')
    compiled(x).square().sum().backward()
    assert all(p.grad is not None for p in train.parameters())


def test_the_backbone_is_in_mmactions_registry():
    net = MODELS.build(
        dict(type='VideoFocalNet', arch=SMALL, out_indices=(1,))
    )
    assert isinstance(net, VideoFocalNet)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(arch='huge'), "arch is 'huge'.*nano, tiny, small, base"),
        (
            dict(arch=dict(embed_dim=8)),
            'give a dict with embed_dim and depths',
        ),
        (
            dict(arch=dict(embed_dim=8, depth=(1,))),
            'give a dict with embed_dim',
        ),
        (dict(arch=dict(embed_dim=0, depths=(1,))), '1 or more'),
        (dict(focal_levels=(2, 2)), 'focal_levels has 2 entries.*4 stages'),
        (dict(focal_levels=0), 'focal_levels is'),
        (dict(focal_windows=4), 'focal_windows is 4.*odd'),
        (dict(drop_path_rate=1.0), 'drop_path_rate is 1.0'),
        (dict(tubelet_size=0), 'tubelet_size is 0'),
        (dict(in_channels=0), 'in_channels is 0; give 1 or more'),
        (dict(out_indices=(4,)), r'out_indices is \(4,\)'),
        (dict(out_indices=()), 'out_indices is'),
        (dict(out_indices=3), 'out_indices is 3; give a list of stages'),
        (dict(out_indices=(1.0,)), r'out_indices is \(1.0,\)'),
        (dict(arch=2), 'arch is 2; give a dict with embed_dim'),
        (dict(arch=dict(embed_dim=8, depths=2)), 'every depth, a list'),
        (dict(arch=dict(embed_dim='8', depths=(1,))), "embed_dim': '8'"),
        (dict(focal_windows=3.0), 'focal_windows is 3.0; give whole numbers'),
        (dict(tubelet_size=1.5), 'tubelet_size is 1.5'),
        (dict(in_channels='3'), 'in_channels is 3'),
        (dict(frozen_stages='1'), 'frozen_stages is 1; give -1'),
        (dict(frozen_stages=5), 'frozen_stages is 5'),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with torch.device('meta'), pytest.raises(UserError, match=message):
        VideoFocalNet(**kwargs)


@pytest.mark.parametrize(
    'shape, message',
    [
        ((1, 3, 4, 31, 64), '31 x 64 pixels.*32 or more per side'),
        ((1, 3, 3, 32, 32), '3 frames.*tubelet_size=2'),
        ((1, 3, 32, 32), '1 frames; tubelet_size=2.*set tubelet_size=1'),
        ((3, 32, 32), r'\(3, 32, 32\).*set format_shape="NCTHW"'),
        (
            (1, 17, 4, 32, 32),
            r'\(1, 17, 4, 32, 32\).* 17 channels but the backbone takes 3; '
            r'set model.backbone.in_channels=17',
        ),
        ((1, 2, 32, 32), r'\(1, 2, 32, 32\), \(batch, channels, height, w'),
    ],
)
def test_bad_clips_are_refused(shape, message):
    with torch.device('meta'):
        net = VideoFocalNet('nano', tubelet_size=2)
        with pytest.raises(UserError, match=message):
            net(torch.zeros(shape))
