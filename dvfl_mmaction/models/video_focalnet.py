"""Video-FocalNet, and VFL-Net, its nano variant."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from ..errors import UserError
from .arguments import (
    WINDOW,
    are_whole,
    check_clips,
    check_temporal,
    parse_arch,
    parse_out_indices,
    per_stage,
)
from .causal import History
from .cpu_linear import Linear, apply_in_parts, has_hooks, runs_eagerly_on_cpu
from .focal_modulation import FocalModulation
from .pairing import check_parts, initialising_model
from .pretrained import check_loaded, choose_weights, load_pretrained

# Positions that an MLP processes at a time on a CPU.
MLP_ROWS = 1568


class PatchEmbed(nn.Module):
    """Split frames (or tubelets of them) into patches, and embed each.

    Sizes that are no multiple of the patch size are floored: pixels at the
    right and at the bottom are dropped, as in the released models.

    Args:
        in_channels: Channels of the input.
        channels: Channels C of the embedding.
        patch_size: Height and width of a patch, in pixels.
        tubelet_size: Frames per patch; 1 embeds each frame separately.
    """

    def __init__(self, in_channels, channels, patch_size, tubelet_size=1):
        super().__init__()
        if tubelet_size == 1:
            self.proj = nn.Conv2d(
                in_channels, channels, patch_size, stride=patch_size
            )
        else:
            kernel_size = (tubelet_size, patch_size, patch_size)
            self.proj = nn.Conv3d(
                in_channels, channels, kernel_size, stride=kernel_size
            )
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Embed patches.

        Args:
            x: (B*T, C_in, H, W), or (B, C_in, T, H, W) for tubelets.

        Returns:
            (B*T', H', W', C), channels last.
        """
        x = self.proj(x)
        if x.dim() == 5:
            x = x.transpose(1, 2).flatten(0, 1)  # -> (B*T', C, H', W')
        return self.norm(x.permute(0, 2, 3, 1))


class Mlp(nn.Module):
    """Two linear layers with a GELU between; hidden width 4 * C."""

    def __init__(self, channels: int, ratio: int = 4):
        super().__init__()
        self.fc1 = Linear(channels, ratio * channels)
        self.fc2 = Linear(ratio * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        hooked = has_hooks(self.fc1) or has_hooks(self.fc2)
        if hooked or not runs_eagerly_on_cpu(x):
            return self.widen_and_narrow(x)
        y = apply_in_parts(self.widen_and_narrow, x.flatten(0, -2), MLP_ROWS)
        return y.view(x.shape)

    def widen_and_narrow(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C), all positions at once."""
        return self.fc2(F.gelu(self.fc1(x)))


class VideoFocalNetBlock(nn.Module):
    """Focal modulation and an MLP, each with pre-norm and a residual.

    Drop path draws once per frame, as in the released training.
    """

    def __init__(
        self,
        channels,
        focal_level,
        focal_window,
        drop_path=0.0,
        temporal_window=None,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.modulation = FocalModulation(
            channels,
            focal_level,
            focal_window,
            temporal_window=temporal_window,
        )
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, num_frames: int, history: History | None = None
    ) -> Tensor:
        """(B*T, H, W, C) -> (B*T, H, W, C), T = num_frames."""
        y = self.modulation(self.norm1(x), num_frames, history)
        x = x + self.drop_path(y)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stage(nn.Module):
    """Blocks of one width, then a downsampling, except in the last stage."""

    def __init__(self, blocks, downsample=None, with_cp=False):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.with_cp = with_cp

    def forward(
        self, x: Tensor, num_frames: int, history: History | None = None
    ) -> Tensor:
        """(B*T, H, W, C) -> (B*T, H, W, C), T = num_frames."""
        recompute = self.with_cp and history is None
        for block in self.blocks:
            if recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, num_frames, use_reentrant=False)
            else:
                x = block(x, num_frames, history)
        return x


@MODELS.register_module()
class VideoFocalNet(BaseModule):
    """Video-FocalNet (https://arxiv.org/abs/2307.06947).

    Frames, height and width are read from each input. Weights have the
    names of the released checkpoints.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, ``'nano'`` (VFL-Net), or
            ``dict(embed_dim=C, depths=(...))``; the width doubles at each
            of the ``len(depths)`` stages.
        focal_levels: Levels L, >= 1; a number, or one per stage.
        focal_windows: Kernel size of the first level, odd; a number, or one
            per stage.
        drop_path_rate: Drop-path rate of the last block, in [0, 1); it
            rises linearly from 0. ``None`` is the rate of ``arch`` (0 for a
            dict).
        tubelet_size: Frames per patch of the stem, >= 1.
        in_channels: Channels of the input, >= 1: 3 for RGB, 2 per flow
            field, one per heat map.
        out_indices: Stages whose features are returned; negative numbers
            count from the last stage. The last stage's features pass the
            released ``norm``, those of stage i a ``norm{i}``. Stages after
            the last index are not built.
        frozen_stages: -1: none; 0: the stem; n: also the first n stages.
        norm_eval: Keep norm layers in eval mode while training. It exists
            because MMAction2's backbones have it; the LayerNorm of this
            network has no running statistics to freeze.
        with_cp: Recompute each block in the backward pass, which saves
            memory and costs time.
        pretrained: A checkpoint to start from: ``'focalnet_tiny_srf'``,
            ``'focalnet_small_srf'`` or ``'focalnet_base_srf'`` (ImageNet
            weights, downloaded once), ``'imagenet'`` (those of ``arch``,
            if it is tiny, small, base or nano), a released 2-D or video
            file, or a recognizer's. From a deeper one each stage takes the
            first blocks. A stem of another number of input channels is
            averaged over them. The conversion of each weight is logged.
        temporal: ``'global'``, as in the papers, or ``'causal'``: a frame's
            features depend on it and previous frames, so that a stream can
            be classified frame by frame
            (:mod:`dvfl_mmaction.deployment.streaming`). Weights have the
            same names and shapes in both forms.
        temporal_window: Frames over which the causal form averages, >= 1;
            the global form does not read it.
        init_cfg: MMEngine's. ``None`` is the papers' initialisation: linear
            layers from a truncated normal of standard deviation 0.02.
            ``[]`` keeps PyTorch's, which depends on the width of a layer.

    Attributes:
        num_features: Channels of each output, in the order of out_indices;
            ``in_channels`` of the head or neck that takes them.
        temporal_window: That of the causal form; None in the global form.

    Raises:
        UserError: If an argument is out of range; in ``forward``, if a clip
            has other channels, is too small, or its frames do not fill whole
            tubelets.
    """

    def __init__(
        self,
        arch: str | dict = 'tiny',
        focal_levels: int | Sequence[int] = 2,
        focal_windows: int | Sequence[int] = 3,
        drop_path_rate: float | None = None,
        tubelet_size: int = 1,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: dict | list | None = None,
        in_channels: int = 3,
        temporal: str = 'global',
        temporal_window: int = WINDOW,
    ):
        if init_cfg is None:
            init_cfg = [
                dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
                dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
            ]
        super().__init__(init_cfg)
        embed_dim, depths, default_rate = parse_arch(arch)
        num_stages = len(depths)
        if drop_path_rate is None:
            drop_path_rate = default_rate
        levels = per_stage('focal_levels', focal_levels, num_stages)
        windows = per_stage('focal_windows', focal_windows, num_stages)
        if any(window % 2 == 0 for window in windows):
            raise UserError(
                f'focal_windows is {focal_windows}; give odd kernel sizes, '
                'which keep the size of the feature map'
            )
        if not 0 <= drop_path_rate < 1:
            raise UserError(
                f'drop_path_rate is {drop_path_rate}; give a number in [0, 1)'
            )
        if not are_whole([tubelet_size]):
            raise UserError(
                f'tubelet_size is {tubelet_size}; give 1 or more frames'
            )
        check_temporal(temporal, temporal_window, tubelet_size)
        self.out_indices = parse_out_indices(out_indices, num_stages)
        built = self.out_indices[-1] + 1
        if not are_whole([frozen_stages], -1) or frozen_stages > built:
            raise UserError(
                f'frozen_stages is {frozen_stages}; give -1 (none) to {built}'
                f' (the stem and all {built} stages)'
            )
        if not are_whole([in_channels]):
            raise UserError(
                f'in_channels is {in_channels}; give 1 or more: 3 for RGB, 2 '
                'per flow field, one per heat map'
            )
        self.tubelet_size = tubelet_size
        causal = temporal == 'causal'
        self.temporal_window = temporal_window if causal else None
        self.in_channels = in_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.pretrained = choose_weights(pretrained, embed_dim, depths)
        # The stem shrinks by 4, each further stage by 2.
        self.min_size = 4 * 2 ** (built - 1)

        self.patch_embed = PatchEmbed(in_channels, embed_dim, 4, tubelet_size)
        last = max(sum(depths) - 1, 1)
        rates = [drop_path_rate * i / last for i in range(sum(depths))]
        self.layers = nn.ModuleList()
        for i in range(built):
            channels = embed_dim * 2**i
            first = sum(depths[:i])
            blocks = [
                VideoFocalNetBlock(
                    channels,
                    levels[i],
                    windows[i],
                    rate,
                    self.temporal_window,
                )
                for rate in rates[first : first + depths[i]]
            ]
            downsample = None
            if i + 1 < built:
                downsample = PatchEmbed(channels, 2 * channels, 2)
            self.layers.append(Stage(blocks, downsample, with_cp))
        self.norm_names = {
            i: 'norm' if i == num_stages - 1 else f'norm{i}'
            for i in self.out_indices
        }
        for i, name in self.norm_names.items():
            self.add_module(name, nn.LayerNorm(embed_dim * 2**i))
        self.num_features = tuple(embed_dim * 2**i for i in self.out_indices)
        self._freeze_stages()

    def forward(
        self, x: Tensor, history: History | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Normalised clips, (B, C_in, T, H, W), or single frames,
                (B, C_in, H, W), each of them a clip of one frame.
            history: Previous frames of the clips, in the causal form.

        Returns:
            (B, C, T', H', W') with T' = T / tubelet_size; H' and W' are the
            height and width divided by 4, then by 2 per further stage,
            floored each time. (B, C, H', W') for single frames. Contiguous.
            A tuple of them for several out_indices.
        """
        single = x.dim() == 4
        if single:
            x = x.unsqueeze(2)  # (B, C_in, H, W) -> (B, C_in, 1, H, W)
        check_clips(self, x, single)
        batch, _, frames = x.shape[:3]
        frames //= self.tubelet_size
        if self.tubelet_size == 1:
            x = x.transpose(1, 2).flatten(0, 1)  # -> (B*T, C_in, H, W)
        x = self.patch_embed(x)  # (B*T', H', W', C)
        outputs = []
        for i, stage in enumerate(self.layers):
            x = stage(x, frames, history)
            if i in self.norm_names:
                y = getattr(self, self.norm_names[i])(x)
                # (B*T', H', W', C) -> (B, C, T', H', W')
                y = y.unflatten(0, (batch, frames)).permute(0, 4, 1, 2, 3)
                y = y.clone(memory_format=torch.contiguous_format)
                outputs.append(y.squeeze(2) if single else y)
            if stage.downsample is not None:
                x = stage.downsample(x.permute(0, 3, 1, 2))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def init_weights(self):
        """Initialise, then load ``pretrained``.

        Raises:
            UserError: If the head, neck or preprocessor of the model that is
                being initialised does not fit.
        """
        model = initialising_model(self)
        if model is not None:
            check_parts(model)
        if not self._is_init:
            super().init_weights()
            if self.pretrained:
                load_pretrained(self, self.pretrained)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        check_loaded(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _freeze_stages(self):
        if self.frozen_stages < 0:
            return
        for module in [self.patch_embed, *self.layers[: self.frozen_stages]]:
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True):
        """Switch the mode, but keep frozen parts in eval mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.LayerNorm | _NormBase):
                    module.eval()
        return self


@MODELS.register_module()
class VFLNetNano(VideoFocalNet):
    """VFL-Net, the student of DVFL-Net: the nano :class:`VideoFocalNet`.

    Takes the arguments of :class:`VideoFocalNet`.
    """

    def __init__(self, arch: str | dict = 'nano', **kwargs):
        super().__init__(arch, **kwargs)
