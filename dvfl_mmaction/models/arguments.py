"""Check and complete the arguments of the backbone, and check its input."""

import logging
from collections.abc import Sequence
from numbers import Integral

from mmengine.logging import print_log
from torch import Tensor, nn

from ..checkpoints.architecture import ARCHS
from ..errors import UserError

WINDOW = 8  # default of temporal_window, in frames


def are_whole(values, least: int = 1) -> bool:
    """Whether values are a list of whole numbers of at least ``least``."""
    return isinstance(values, Sequence) and all(
        isinstance(value, Integral) and value >= least for value in values
    )


def parse_arch(arch: str | dict) -> tuple[int, tuple[int, ...], float]:
    """Width of the first stage, blocks per stage, default drop-path rate."""
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise UserError(
                f'arch is {arch!r}; give one of {", ".join(ARCHS)}, or '
                'dict(embed_dim=96, depths=(2, 2, 6, 2))'
            )
        arch = ARCHS[arch]
    keys = set(arch) if isinstance(arch, dict) else set()
    extra = keys - {'embed_dim', 'depths', 'drop_path_rate'}
    if extra or not {'embed_dim', 'depths'} <= keys:
        found = f'has the keys {sorted(keys)}' if keys else f'is {arch!r}'
        raise UserError(f'arch {found}; give a dict with embed_dim and depths')
    embed_dim, depths = arch['embed_dim'], arch['depths']
    if not depths or not are_whole(depths) or not are_whole([embed_dim]):
        raise UserError(
            f'arch is {dict(arch)}; give embed_dim and every depth, a list, '
            'as whole numbers of 1 or more'
        )
    return embed_dim, tuple(depths), arch.get('drop_path_rate', 0.0)


def per_stage(name, value, num_stages) -> tuple[int, ...]:
    """One positive integer per stage, from a number or a sequence."""
    values = value
    if not isinstance(value, Sequence):
        values = (value,) * num_stages
    if len(values) != num_stages:
        raise UserError(
            f'{name} has {len(values)} entries but arch has {num_stages} '
            'stages; give one number, or one per stage'
        )
    if not are_whole(values):
        raise UserError(f'{name} is {value}; give whole numbers of 1 or more')
    return tuple(values)


def parse_out_indices(out_indices, num_stages) -> tuple[int, ...]:
    """Stage numbers in ascending order, without duplicates."""
    indices = out_indices if are_whole(out_indices, -num_stages) else ()
    indices = sorted({i + num_stages if i < 0 else i for i in indices})
    if not indices or indices[-1] >= num_stages:
        raise UserError(
            f'out_indices is {out_indices}; give a list of stages from 0 to '
            f'{num_stages - 1} (or -1, the last)'
        )
    return tuple(indices)


def check_temporal(temporal, temporal_window, tubelet_size):
    """Reject a form along time that does not exist.

    A window that the global form does not read is warned about.
    """
    if temporal not in ('global', 'causal'):
        raise UserError(
            f"temporal is {temporal!r}; give 'global' (whole clips) or "
            "'causal' (also frame by frame)"
        )
    if not are_whole([temporal_window]):
        raise UserError(
            f'temporal_window is {temporal_window}; give 1 or more frames'
        )
    if temporal == 'causal' and tubelet_size != 1:
        raise UserError(
            f"temporal='causal' takes single frames but tubelet_size is "
            f'{tubelet_size}; set tubelet_size=1'
        )
    if temporal == 'global' and temporal_window != WINDOW:
        print_log(
            f"temporal_window={temporal_window} has no effect: temporal='"
            "global' averages over all frames; set temporal='causal', or "
            'leave temporal_window out',
            logger='current',
            level=logging.WARNING,
        )


def check_clips(backbone: nn.Module, x: Tensor, single: bool):
    """Reject clips, or single frames, that the backbone cannot take."""
    if x.dim() != 5:
        raise UserError(
            f'the input is {tuple(x.shape)}; Video-FocalNet takes clips '
            '(batch, channels, frames, height, width), or frames (batch, '
            'channels, height, width); set format_shape="NCTHW" for '
            'Recognizer3D, "NCHW" for Recognizer2D'
        )
    channels, frames, height, width = x.shape[1:]
    if channels != backbone.in_channels:
        layout = '(batch, channels, frames, height, width)'
        if single:
            layout = '(batch, channels, height, width)'
            x = x.squeeze(2)
        raise UserError(
            f'the input is {tuple(x.shape)}, {layout}, and has {channels} '
            f'channels but the backbone takes {backbone.in_channels}; set '
            f'model.backbone.in_channels={channels}, or change the '
            'pipeline (FormatShape)'
        )
    if min(height, width) < backbone.min_size:
        raise UserError(
            f'clips are {height} x {width} pixels; a network of '
            f'{len(backbone.layers)} stages needs {backbone.min_size} or '
            'more per side; enlarge the crop'
        )
    if frames < 1 or frames % backbone.tubelet_size:
        remedy = 'set tubelet_size=1' if single else 'change clip_len'
        raise UserError(
            f'clips have {frames} frames; tubelet_size='
            f'{backbone.tubelet_size} needs a multiple of it; {remedy}'
        )
