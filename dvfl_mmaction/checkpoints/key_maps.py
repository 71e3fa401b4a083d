"""Names of the weights in each layout and in a recognizer.

A map goes from a layout's names to those of an MMAction2 recognizer. ``{}``
stands for an index; both sides have the same ones in the same order. ``None``
means dropped on purpose. A name that is in no map is an error.
"""

import re
from dataclasses import dataclass

INDEX = re.compile(r'(?<=\.)\d+(?=\.)')

BLOCK_SPATIAL = (
    'norm1.weight',
    'norm1.bias',
    'modulation.f.weight',
    'modulation.f.bias',
    'modulation.h.weight',
    'modulation.h.bias',
    'modulation.proj.weight',
    'modulation.proj.bias',
    'modulation.focal_layers.{}.{}.weight',
    'norm2.weight',
    'norm2.bias',
    'mlp.fc1.weight',
    'mlp.fc1.bias',
    'mlp.fc2.weight',
    'mlp.fc2.bias',
)
BLOCK_TEMPORAL = (
    'modulation.f_temporal.weight',
    'modulation.f_temporal.bias',
    'modulation.h_temporal.weight',
    'modulation.h_temporal.bias',
    'modulation.focal_layers_temporal.{}.{}.weight',
)
# The 2-D models have these, too.
SPATIAL = (
    'patch_embed.proj.weight',
    'patch_embed.proj.bias',
    'patch_embed.norm.weight',
    'patch_embed.norm.bias',
    *('layers.{}.blocks.{}.' + name for name in BLOCK_SPATIAL),
    'layers.{}.downsample.proj.weight',
    'layers.{}.downsample.proj.bias',
    'layers.{}.downsample.norm.weight',
    'layers.{}.downsample.norm.bias',
    'norm.weight',
    'norm.bias',
)
TEMPORAL = tuple('layers.{}.blocks.{}.' + name for name in BLOCK_TEMPORAL)
# A backbone that returns the features of earlier stages has these.
EXTRA_NORMS = tuple(
    f'norm{i}.{name}' for i in range(4) for name in ('weight', 'bias')
)

HEAD = {
    'head.weight': 'cls_head.fc_cls.weight',
    'head.bias': 'cls_head.fc_cls.bias',
}
VIDEO = {name: f'backbone.{name}' for name in SPATIAL + TEMPORAL} | HEAD
IMAGE = {name: f'backbone.{name}' for name in SPATIAL} | {
    'head.weight': None,  # ImageNet's classes
    'head.bias': None,
}
RECOGNIZER = {name: name for name in VIDEO.values()} | {
    **{f'backbone.{name}': f'backbone.{name}' for name in EXTRA_NORMS},
    'data_preprocessor.mean': None,  # set by the config
    'data_preprocessor.std': None,
}
# This project's backbone has the names of the released video models.
BACKBONE = VIDEO | {name: f'backbone.{name}' for name in EXTRA_NORMS}
TO_RELEASED = {ours: released for released, ours in VIDEO.items()}

# A part of a recognizer that another recognizer may lack.
PART = re.compile(
    r'backbone\.(layers\.\d+\.(blocks\.\d+|downsample)|norm\d*)\.|cls_head\.'
)
# Prefixes that every name in a file may have.
PREFIXES = ('module.', '_orig_mod.')


@dataclass(frozen=True)
class Layout:
    """Names of the weights in one kind of file.

    Args:
        title: Description of such a file.
        keys: Names in the file -> names in a recognizer; ``None``: dropped
            on purpose.
        initial: Names in a recognizer that such a file may lack; these
            weights keep their initialisation.
    """

    title: str
    keys: dict
    initial: frozenset


OPTIONAL = frozenset(
    [*HEAD.values(), *(f'backbone.{name}' for name in EXTRA_NORMS)]
)
VIDEO_LAYOUT = Layout('a released video model', BACKBONE, OPTIONAL)
IMAGE_LAYOUT = Layout(
    'a released 2-D FocalNet',
    IMAGE,
    OPTIONAL | {f'backbone.{name}' for name in TEMPORAL},
)
RECOGNIZER_LAYOUT = Layout('an MMAction2 recognizer', RECOGNIZER, OPTIONAL)


def template(name: str) -> str:
    """Replace indices: ``'layers.0.norm'`` -> ``'layers.{}.norm'``."""
    return INDEX.sub('{}', name)


def rename(name: str, keys: dict) -> str | None:
    """Look up a name in a map; None if it is dropped on purpose.

    Raises:
        KeyError: If the name is not in the map.
    """
    renamed = keys[template(name)]
    return renamed and renamed.format(*INDEX.findall(name))
