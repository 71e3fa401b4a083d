"""Recognise the layout of a checkpoint file and extract its weights."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .architecture import Architecture, read_architecture
from .key_maps import (
    IMAGE_LAYOUT,
    PREFIXES,
    RECOGNIZER_LAYOUT,
    SPATIAL,
    TEMPORAL,
    TIMM_LAYOUT,
    TIMM_STEM,
    VIDEO_LAYOUT,
    Layout,
    find_key,
    rename,
    template,
)
from .safe_loading import CheckpointError, load_checkpoint_file

# Keys of the weights in a file; the first one found is used. Averaged weights
# (EMA) come first: training reports the accuracy of these.
CONTAINERS = ('model_ema', 'state_dict_ema', 'state_dict', 'model')
SHOWN = 8  # weights named in a message
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass
class Source:
    """A file's weights.

    Args:
        path: The file.
        weights: Weights by the names of the file's layout.
        layout: Layout of the file.
        container: Key of the weights in the file; '' if at the top level.
        averaged: Whether the weights are an average over training (EMA).
        left_out: The other keys of the file.
        meta: The file's own ``meta``, if it has one.
    """

    path: str
    weights: dict[str, Tensor]
    layout: Layout
    container: str
    averaged: bool
    left_out: list[str]
    meta: dict = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Short description of the file."""
        version = self.meta.get('dvfl_mmaction_version')
        if not isinstance(version, str):
            return self.layout.title
        return f'{self.layout.title}, converted by dvfl_mmaction {version}'

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by a recognizer's names, without the dropped weights."""
        return {
            renamed: tuple(value.shape)
            for name, value in self.weights.items()
            if (renamed := rename(name, self.layout.keys))
        }

    def architecture(self) -> Architecture:
        """Read the architecture off the weights.

        Raises:
            CheckpointError: If the stem is missing.
        """
        found = read_architecture(self.shapes())
        if found is None:
            raise CheckpointError(
                f'{self.path} looks like {self.layout.title} but has no '
                'patch_embed.proj.weight of 4 or 5 dimensions, which the '
                'architecture is read from; give a complete checkpoint'
            )
        return found


def read_source(path, mmap: bool = False) -> Source:
    """Load a checkpoint and recognise its layout.

    Args:
        path: A file, or a URL that MMEngine can read.
        mmap: Map a local file instead of reading it: unused parts, such as
            the state of an optimizer, then take no memory.

    Raises:
        CheckpointError: If the file cannot be read or its layout is unknown.
    """
    path = os.fspath(path)
    return parse_checkpoint(load_checkpoint_file(path, mmap=mmap), path)


def parse_checkpoint(checkpoint: Mapping, path: str) -> Source:
    """Recognise the layout of a loaded checkpoint.

    Args:
        checkpoint: The content of the file.
        path: The file, for errors.

    Raises:
        CheckpointError: If its layout is unknown.
    """
    container = find_container(checkpoint)
    weights, left_out = checkpoint, []
    if container:
        weights = checkpoint[container]
        left_out = [key for key in checkpoint if key != container]
    check_tensors(weights, path, container)
    weights = strip_prefixes(weights)
    meta = checkpoint.get('meta')
    return Source(
        path=path,
        weights=weights,
        layout=recognise(weights, path),
        container=container,
        averaged='ema' in container or 'ema_state_dict' in checkpoint,
        left_out=left_out,
        meta=dict(meta) if isinstance(meta, Mapping) else {},
    )


def find_container(checkpoint: Mapping) -> str:
    """The key of the weights in a checkpoint; '' if at the top level."""
    return next(
        (k for k in CONTAINERS if isinstance(checkpoint.get(k), Mapping)), ''
    )


def check_tensors(weights: Mapping, path: str, container: str):
    """Check that a dict holds floating-point tensors by name.

    Raises:
        CheckpointError: With what it holds instead.
    """
    others = [
        f'{name} ({type(value).__name__})'
        for name, value in weights.items()
        if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if others or not weights:
        raise CheckpointError(
            f'{path} has {", ".join(others[:SHOWN]) or "nothing"} under '
            f'{container or "its top level"}; wanted: weights by name; give '
            'a checkpoint with weights at its top level or under '
            f'{", ".join(CONTAINERS)}'
        )
    others = [
        f'{name} {tuple(value.shape)} ({non_float_kind(value)})'
        for name, value in weights.items()
        if non_float_kind(value)
    ]
    if others:
        more = len(others) - SHOWN
        raise CheckpointError(
            f'{path} has weights that are not plain floating-point numbers: '
            f'{", ".join(others[:SHOWN])}'
            + (f', and {more} more' if more > 0 else '')
            + '; give a checkpoint as training saved it'
        )


def non_float_kind(value: Tensor) -> str:
    """Kind of a tensor that is not plain floating point; '' if it is."""
    if value.is_meta:
        return 'no values'
    if value.layout is not torch.strided:
        return str(value.layout)
    return '' if value.dtype in FLOATS else str(value.dtype)


def strip_prefixes(weights: Mapping) -> dict[str, Tensor]:
    """Remove the prefixes that DataParallel and torch.compile add."""
    weights = dict(weights)
    while weights:
        found = (p for p in PREFIXES if all(k.startswith(p) for k in weights))
        prefix = next(found, None)
        if prefix is None:
            break
        weights = {k[len(prefix) :]: v for k, v in weights.items()}
    return weights


def recognise(weights: Mapping, path: str) -> Layout:
    """Recognise a layout by its names.

    Raises:
        CheckpointError: If the names fit no known layout, or not all fit.
    """
    names = {template(name) for name in weights}
    layout = None
    if names & RECOGNIZER_LAYOUT.keys.keys():
        layout = RECOGNIZER_LAYOUT
    elif names & set(TEMPORAL):
        layout = VIDEO_LAYOUT
    elif TIMM_STEM in names:
        layout = TIMM_LAYOUT
    elif names & set(SPATIAL):
        layout = IMAGE_LAYOUT
    if layout:
        unknown = {
            name: value
            for name, value in weights.items()
            if find_key(name, layout.keys) not in layout.keys
        }
        if not unknown:
            return layout
        raise CheckpointError(
            f'{path} looks like {layout.title} but has weights that '
            'Video-FocalNet and FocalNet (SRF, LRF) do not have: '
            f'{list_shapes(unknown)}; give a checkpoint of one of these'
        )
    raise CheckpointError(
        f'{path} is not a FocalNet: none of its {len(weights)} weights is '
        f'named as in one ({list_shapes(weights, SHOWN)}); give a checkpoint '
        'of a Video-FocalNet, a VFL-Net, or a 2-D FocalNet'
    )


def list_shapes(weights: Mapping, limit: int | None = None) -> str:
    """Format as ``'name (2, 3), ...'``; count those beyond ``limit``."""
    shown = [
        f'{name} {tuple(value.shape if torch.is_tensor(value) else value)}'
        for name, value in list(weights.items())[:limit]
    ]
    if len(weights) > len(shown):
        shown.append(f'and {len(weights) - len(shown)} more')
    return ', '.join(shown)
