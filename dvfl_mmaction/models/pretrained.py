"""Initialise a backbone from a checkpoint, and log each weight's source."""

from collections.abc import Container
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import nn

from ..checkpoints.architecture import list_differences, read_architecture
from ..checkpoints.conversion import convert
from ..checkpoints.named_weights import (
    FROM_SCRATCH,
    IMAGENET,
    NAMES,
    OF_ARCH,
    check_named,
    find_weights,
)
from ..checkpoints.source import read_source
from ..errors import UserError


def load_pretrained(module: nn.Module, pretrained: str):
    """Initialise a backbone from a checkpoint.

    The conversion of each weight is logged.

    Args:
        module: A backbone.
        pretrained: A name of ImageNet weights, see
            :mod:`..checkpoints.named_weights`; or a released 2-D or video
            checkpoint, or one of an MMAction2 recognizer: a file, or a URL
            that MMEngine can read.

    Raises:
        UserError: If the file cannot be read or is of another architecture.
    """
    source = read_source(find_pretrained(pretrained))
    if pretrained in NAMES:
        check_named(source, pretrained)
    shapes = {
        f'backbone.{name}': tuple(value.shape)
        for name, value in module.state_dict().items()
    }
    differences = list_differences(
        source.architecture(), read_architecture(shapes), initialise=True
    )
    if differences:
        raise UserError(
            f'pretrained={pretrained!r} ({source.title}) does not fit this '
            f'{type(module).__name__}: {"; ".join(differences)}; give a '
            'checkpoint of this architecture, or train from scratch: '
            f'{FROM_SCRATCH}'
        )
    weights, report = convert(source, shapes, initialise=True)
    module.load_state_dict(
        {name.removeprefix('backbone.'): v for name, v in weights.items()},
        strict=False,
    )
    print_log(f'{source.path}, {source.title}: {report}', logger='current')


def choose_weights(
    pretrained: str | None, embed_dim: int, depths: tuple[int, ...]
) -> str | None:
    """Replace ``'imagenet'`` by the name of an architecture's weights.

    Other architectures than tiny, small, base and nano have none; a log line
    says that they start from scratch.
    """
    if pretrained != IMAGENET:
        return pretrained
    name = OF_ARCH.get((embed_dim, depths))
    if name is None:
        print_log(
            f'no ImageNet weights exist for embed_dim={embed_dim} and depths='
            f'{depths}: a training starts from scratch; set pretrained to a '
            'file or None instead',
            logger='current',
        )
    return name


def find_pretrained(pretrained: str) -> str:
    """Find the file of ``pretrained``; named weights are downloaded.

    Args:
        pretrained: As for :func:`load_pretrained`.

    Returns:
        A file, or the URL that was given.

    Raises:
        UserError: If there is no such name and no such file, or the
            download fails.
    """
    if pretrained in NAMES:
        return str(find_weights(pretrained))
    path = Path(pretrained).expanduser()
    if '://' not in pretrained and not path.exists():
        raise UserError(
            f'pretrained={pretrained!r} is neither a file nor a name of '
            'weights; correct the path, or give one of '
            f'{", ".join([IMAGENET, *NAMES])}'
        )
    return pretrained


def check_loaded(module: nn.Module, state_dict: dict, prefix: str):
    """Reject a recognizer's checkpoint that has nothing for its backbone.

    MMEngine only logs weights that are missing or of another shape, and the
    predictions would be random. One of several backbones, with another
    prefix, may be missing.

    Args:
        module: The backbone.
        state_dict: Weights that a module with the backbone loads.
        prefix: Prefix of the backbone's names in it.

    Raises:
        UserError: If there is none, or none of its shape.
    """
    if prefix != 'backbone.':
        return
    own = {prefix + k: v for k, v in module.state_dict().items()}
    own = shapes_of(own, own)
    found = shapes_of(state_dict, own)
    if not any(k.startswith(prefix) for k in state_dict):
        raise UserError(
            'the checkpoint has no weight backbone.*, so the predictions '
            'would be random; if it is a released file, convert it first: '
            'python tools/convert_checkpoint.py RELEASED CONVERTED'
        )
    if own and not any(own[k] == shape for k, shape in found.items()):
        name = next(iter(found), None)
        what = f'it lacks {next(iter(own))}'
        if found:
            what = f'{name} is {found[name]}, not {own[name]}'
        raise UserError(
            'no weight backbone.* of the checkpoint is one of this '
            f'{type(module).__name__} ({what}), so all of them would stay '
            'random; give a checkpoint of this architecture'
        )


def shapes_of(weights: dict, names: Container[str]) -> dict[str, tuple]:
    """Shapes of the tensors of some names, without other entries."""
    return {
        name: tuple(value.shape)
        for name, value in weights.items()
        if name in names and torch.is_tensor(value)
    }
