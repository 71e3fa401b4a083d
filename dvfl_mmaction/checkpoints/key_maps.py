"""What each layout calls the weights, and what a recognizer calls them.

A map goes from a layout's names to those in an MMAction2 recognizer; ``{}``
stands for an index, the same on both sides and in the same order. ``None``
means dropped on purpose. A name that is in no map is an error.
"""

import re
from dataclasses import dataclass

INDEX = re.compile(r'(?<=\.)\d+(?=\.)')

# Of the stem, the downsampling and the blocks; in the 2-D models as well.
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
# Of a backbone that gives the features of earlier stages too.
EXTRA_NORMS = tuple(
    f'norm{i}.{name}' for i in range(4) for name in ('weight', 'bias')
)

HEAD = {
    'head.weight': 'cls_head.fc_cls.weight',
    'head.bias': 'cls_head.fc_cls.bias',
}
VIDEO = {name: f'backbone.{name}' for name in SPATIAL + TEMPORAL} | HEAD
IMAGE = {name: f'backbone.{name}' for name in SPATIAL} | {
    'head.weight': None,  # of ImageNet's classes
    'head.bias': None,
}
RECOGNIZER = {name: name for name in VIDEO.values()} | {
    **{f'backbone.{name}': f'backbone.{name}' for name in EXTRA_NORMS},
    'data_preprocessor.mean': None,  # the config's
    'data_preprocessor.std': None,
}
# Our backbone's own names are those of the released video models.
BACKBONE = VIDEO | {name: f'backbone.{name}' for name in EXTRA_NORMS}
TO_RELEASED = {ours: released for released, ours in VIDEO.items()}

# A whole part of a recognizer, which another one may lack.
PART = re.compile(
    r'backbone\.(layers\.\d+\.(blocks\.\d+|downsample)|norm\d*)\.|cls_head\.'
)
# May stand before every name in a file.
PREFIXES = ('module.', '_orig_mod.')


@dataclass(frozen=True)
class Layout:
    """A way to name weights.

    Args:
        title: What a file of it is.
        keys: Its names, to a recognizer's; ``None``: dropped on purpose.
        initial: The names in a recognizer that a file of it may not have:
            they stay at their own initialisation.
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
    """``'layers.0.blocks.1.norm1.bias'`` -> ``'layers.{}.blocks.{}...'``."""
    return INDEX.sub('{}', name)


def rename(name: str, keys: dict) -> str | None:
    """Look a name up in a map; None if it is dropped on purpose.

    Raises:
        KeyError: If the map does not have it.
    """
    renamed = keys[template(name)]
    return renamed and renamed.format(*INDEX.findall(name))
