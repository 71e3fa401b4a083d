"""The network in the formulation of the released code, for comparisons.

Contiguous channels-first maps, an explicit permute wherever a layer needs
another layout, and gates and modulators stored on the module, as in the
released code. Parameters have the names of
``dvfl_mmaction.models.VideoFocalNet``, so that one state dict fits both.
"""

import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import nn

from ..engine.config_checks import type_name
from ..errors import UserError
from ..models.video_focalnet import parse_arch

DEFAULT_ARCHS = dict(VideoFocalNet='tiny', VFLNetNano='nano')


def depthwise_conv(channels, size):
    """A convolution of each channel that keeps the size of the map."""
    return nn.Conv2d(
        channels,
        channels,
        size,
        padding=size // 2,
        groups=channels,
        bias=False,
    )


class PlainModulation(nn.Module):
    """Focal modulation in space and time (Video-FocalNets, Eqs. 5-9)."""

    def __init__(self, channels, focal_level=2, focal_window=3):
        super().__init__()
        self.channels = channels
        self.focal_level = focal_level
        sizes = [focal_window + 2 * i for i in range(focal_level)]
        self.f = nn.Linear(channels, 2 * channels + focal_level + 1)
        self.h = nn.Conv2d(channels, channels, 1)
        self.focal_layers = nn.ModuleList(
            nn.Sequential(depthwise_conv(channels, k), nn.GELU())
            for k in sizes
        )
        self.f_temporal = nn.Linear(channels, channels + focal_level + 1)
        self.h_temporal = nn.Conv1d(channels, channels, 1)
        self.focal_layers_temporal = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, k, padding=k // 2, bias=False),
                nn.GELU(),
            )
            for k in sizes
        )
        self.proj = nn.Linear(channels, channels)

    def forward(self, x, num_frames):
        """(B*T, H, W, C) -> (B*T, H, W, C), T = num_frames."""
        folded, height, width, channels = x.shape
        batch, levels = folded // num_frames, self.focal_level
        space = self.f(x).permute(0, 3, 1, 2).contiguous()
        query, context, self.gates = space.split(
            (channels, channels, levels + 1), 1
        )
        total = 0
        for i, layer in enumerate(self.focal_layers):
            context = layer(context)
            total = total + context * self.gates[:, i : i + 1]
        overall = context.mean(2, keepdim=True).mean(3, keepdim=True)
        total = total + F.gelu(overall) * self.gates[:, levels:]
        self.modulator = self.h(total)

        time = self.f_temporal(x)
        time = time.view(batch, num_frames, height, width, -1)
        time = time.permute(0, 2, 3, 4, 1).contiguous()
        time = time.view(batch * height * width, -1, num_frames)
        context, self.gates_temporal = time.split((channels, levels + 1), 1)
        total = 0
        for i, layer in enumerate(self.focal_layers_temporal):
            context = layer(context)
            total = total + context * self.gates_temporal[:, i : i + 1]
        overall = F.gelu(context.mean(2, keepdim=True))
        total = total + overall * self.gates_temporal[:, levels:]
        total = self.h_temporal(total)
        total = total.view(batch, height, width, channels, num_frames)
        total = total.permute(0, 4, 3, 1, 2).contiguous()
        self.modulator_temporal = total.view(-1, channels, height, width)

        y = query * self.modulator * self.modulator_temporal
        return self.proj(y.permute(0, 2, 3, 1).contiguous())


class PlainMlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x):
        """(..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class PlainBlock(nn.Module):
    """Modulation and MLP, each with pre-norm and a residual."""

    def __init__(self, channels, focal_level, focal_window, drop_path):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.modulation = PlainModulation(channels, focal_level, focal_window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = PlainMlp(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x, size, num_frames):
        """(B*T, H*W, C) -> (B*T, H*W, C); size is (H, W)."""
        y = self.norm1(x).unflatten(1, size)
        y = self.modulation(y, num_frames).flatten(1, 2)
        x = x + self.drop_path(y)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PlainPatchEmbed(nn.Module):
    """A strided convolution and a LayerNorm over channels."""

    def __init__(self, in_channels, channels, size):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, size, stride=size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x):
        """(N, C, H, W) -> (N, H'*W', C') and (H', W')."""
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), x.shape[2:]


class PlainStage(nn.Module):
    """Blocks, then a downsampling."""

    def __init__(self, blocks, downsample):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


class PlainNet(nn.Module):
    """Video-FocalNet without tubelets; returns the last stage's features.

    Args:
        arch: As in ``VideoFocalNet``.
        drop_path_rate: As in ``VideoFocalNet``.
    """

    def __init__(
        self, arch='nano', drop_path_rate=None, focal_level=2, focal_window=3
    ):
        super().__init__()
        width, depths, default_rate = parse_arch(arch)
        rate = default_rate if drop_path_rate is None else drop_path_rate
        last = max(sum(depths) - 1, 1)
        rates = iter([rate * i / last for i in range(sum(depths))])
        self.patch_embed = PlainPatchEmbed(3, width, 4)
        self.layers = nn.ModuleList()
        for i, depth in enumerate(depths):
            c = width * 2**i
            blocks = [
                PlainBlock(c, focal_level, focal_window, next(rates))
                for _ in range(depth)
            ]
            final = i + 1 == len(depths)
            downsample = None if final else PlainPatchEmbed(c, 2 * c, 2)
            self.layers.append(PlainStage(blocks, downsample))
        self.norm = nn.LayerNorm(c)

    def forward(self, x):
        """(B, 3, T, H, W) -> (B, C, T, H', W')."""
        batch, _, frames = x.shape[:3]
        x = x.transpose(1, 2).flatten(0, 1)
        x, size = self.patch_embed(x)
        for stage in self.layers:
            for block in stage.blocks:
                x = block(x, size, frames)
            if stage.downsample is not None:
                x = x.transpose(1, 2).unflatten(2, size)
                x, size = stage.downsample(x)
        x = self.norm(x).transpose(1, 2)  # (B*T, C, H'*W')
        x = x.unflatten(2, size).unflatten(0, (batch, frames))
        return x.transpose(1, 2).contiguous()


def as_released(config: dict, backbone: nn.Module) -> PlainNet:
    """Build the released formulation of a backbone, with its weights.

    Args:
        config: Of the backbone, a ``VideoFocalNet`` or ``VFLNetNano``.
        backbone: Built from it.

    Raises:
        UserError: If it has another type, or an option that the released
            code lacks.
    """
    kind, known = type_name(config), {'type', 'arch', 'drop_path_rate'}
    extra = set(config) - known - {'pretrained', 'init_cfg'}
    arch = config.get('arch', DEFAULT_ARCHS.get(kind))
    if kind in DEFAULT_ARCHS and 'out_indices' in extra:
        last = len(parse_arch(arch)[1]) - 1
        if tuple(config['out_indices']) == (last,):
            extra.remove('out_indices')
    if kind not in DEFAULT_ARCHS or extra:
        raise UserError(
            f'the released code has no {kind}'
            + (f' with {", ".join(sorted(extra))}' if extra else '')
            + '; compare VideoFocalNet or VFLNetNano with arch and '
            'drop_path_rate'
        )
    net = PlainNet(arch, config.get('drop_path_rate'))
    net.load_state_dict(backbone.state_dict())
    return net
