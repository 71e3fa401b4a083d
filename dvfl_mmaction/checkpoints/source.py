"""Recognise what a checkpoint file is, and take its weights out."""

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
    VIDEO_LAYOUT,
    Layout,
    rename,
    template,
)
from .safe_loading import CheckpointError, load_checkpoint_file

# Where a file has its weights, the first that is there. Averaged weights
# (EMA) come first: they are those that training reports its accuracy for.
CONTAINERS = ('model_ema', 'state_dict_ema', 'state_dict', 'model')
SHOWN = 8  # weights in a message
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass
class Source:
    """A file's weights.

    Args:
        path: The file.
        weights: By the names that the file's layout has for them.
        layout: What the file is.
        container: The key that they were under; '' for none.
        averaged: Whether they are an average over training (EMA).
        left_out: Keys of what else the file has.
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
        """What the file is, in words."""
        converted = self.meta.get('dvfl_mmaction_version')
        return self.layout.title + (
            f', converted by dvfl_mmaction {converted}' if converted else ''
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by a recognizer's names, of the weights that have one."""
        return {
            renamed: tuple(value.shape)
            for name, value in self.weights.items()
            if (renamed := rename(name, self.layout.keys))
        }

    def architecture(self) -> Architecture:
        """Read the architecture off the weights.

        Raises:
            CheckpointError: If the stem is not there.
        """
        found = read_architecture(self.shapes())
        if found is None:
            raise CheckpointError(
                f'{self.path} looks like {self.layout.title} but has no '
                'patch_embed.proj.weight of 4 or 5 dimensions, from which '
                'the architecture is read; give a whole checkpoint'
            )
        return found


def read_source(path, mmap: bool = False) -> Source:
    """Load a checkpoint and recognise its layout.

    Args:
        path: A file, or an address that MMEngine can read.
        mmap: Map a local file instead of reading it: parts that nobody asks
            for, such as an optimizer's state, then take no memory.

    Raises:
        CheckpointError: If it cannot be read, or is of no layout known here.
    """
    path = os.fspath(path)
    checkpoint = load_checkpoint_file(path, mmap=mmap)
    container = next(
        (k for k in CONTAINERS if isinstance(checkpoint.get(k), Mapping)), ''
    )
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


def check_tensors(weights: Mapping, path: str, container: str):
    """Refuse a dict that is not weights by their names.

    Raises:
        CheckpointError: With what there is instead.
    """
    others = [
        f'{name} ({type(value).__name__})'
        for name, value in weights.items()
        if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if others or not weights:
        raise CheckpointError(
            f'{path} has {", ".join(others[:SHOWN]) or "nothing"} under '
            f'{container or "its top level"} where weights by their names '
            'were wanted; give a checkpoint with them at its top level or '
            f'under {", ".join(CONTAINERS)}'
        )
    others = [
        f'{name} {tuple(value.shape)} ({describe_values(value)})'
        for name, value in weights.items()
        if describe_values(value)
    ]
    if others:
        more = len(others) - SHOWN
        raise CheckpointError(
            f'{path} has weights that are no plain floating-point numbers: '
            f'{", ".join(others[:SHOWN])}'
            + (f', and {more} more' if more > 0 else '')
            + '; give a checkpoint as training has saved it'
        )


def describe_values(value: Tensor) -> str:
    """What a tensor has instead of floating-point numbers; '' if nothing."""
    if value.is_meta:
        return 'no values'
    if value.layout is not torch.strided:
        return str(value.layout)
    return '' if value.dtype in FLOATS else str(value.dtype)


def strip_prefixes(weights: Mapping) -> dict[str, Tensor]:
    """Drop what DataParallel and torch.compile put before every name."""
    weights = dict(weights)
    while prefix := next(
        (p for p in PREFIXES if all(k.startswith(p) for k in weights)), None
    ):
        weights = {k[len(prefix) :]: v for k, v in weights.items()}
    return weights


def recognise(weights: Mapping, path: str) -> Layout:
    """Tell a layout by the names in it.

    Raises:
        CheckpointError: If no name is of one that is known, or not all are.
    """
    names = {template(name) for name in weights}
    layout = None
    if names & RECOGNIZER_LAYOUT.keys.keys():
        layout = RECOGNIZER_LAYOUT
    elif names & set(TEMPORAL):
        layout = VIDEO_LAYOUT
    elif names & set(SPATIAL):
        layout = IMAGE_LAYOUT
    if layout:
        unknown = {
            name: value
            for name, value in weights.items()
            if template(name) not in layout.keys
        }
        if not unknown:
            return layout
        raise CheckpointError(
            f'{path} looks like {layout.title} but has weights that none has '
            f'in Video-FocalNet or FocalNet (SRF, LRF): '
            f'{list_shapes(unknown)}; give a checkpoint of one of these'
        )
    raise CheckpointError(
        f'{path} is no FocalNet: not one of its {len(weights)} weights has a '
        f'name of one ({list_shapes(weights, SHOWN)}); give a checkpoint of a '
        'Video-FocalNet, a VFL-Net, or a 2-D FocalNet'
    )


def list_shapes(weights: Mapping, limit: int | None = None) -> str:
    """``'name (2, 3), ...'``; of more than ``limit`` the number of others."""
    shown = [
        f'{name} {tuple(value.shape if torch.is_tensor(value) else value)}'
        for name, value in list(weights.items())[:limit]
    ]
    if len(weights) > len(shown):
        shown.append(f'and {len(weights) - len(shown)} more')
    return ', '.join(shown)
