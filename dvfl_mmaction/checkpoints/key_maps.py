"""Names of the weights in each layout and in a recognizer.

A map goes from a layout's names to those of an MMAction2 recognizer. ``{}``
stands for an index; both sides have the same ones in the same order. A name
with its indices has precedence. ``None`` means dropped on purpose. A name
that is in no map is an error.
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
EMBED = ('proj.weight', 'proj.bias', 'norm.weight', 'norm.bias')
BLOCK_TEMPORAL = (
    'modulation.f_temporal.weight',
    'modulation.f_temporal.bias',
    'modulation.h_temporal.weight',
    'modulation.h_temporal.bias',
    'modulation.focal_layers_temporal.{}.{}.weight',
)
# The 2-D models have these, too.
SPATIAL = (
    *('patch_embed.' + name for name in EMBED),
    *('layers.{}.blocks.{}.' + name for name in BLOCK_SPATIAL),
    *('layers.{}.downsample.' + name for name in EMBED),
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
# timm downsamples at the beginning of a stage, the release at the end of the
# stage before. Its linear layers are 1x1 convolutions.
TIMM_STEM = 'stem.proj.weight'
TIMM = {
    **{f'stem.{name}': f'backbone.patch_embed.{name}' for name in EMBED},
    **{name: f'backbone.{name}' for name in SPATIAL if '.blocks.' in name},
    **{
        f'layers.{i + 1}.downsample.{name}': (
            f'backbone.layers.{i}.downsample.{name}'
        )
        for i in range(3)
        for name in EMBED
    },
    'norm.weight': 'backbone.norm.weight',
    'norm.bias': 'backbone.norm.bias',
    'head.fc.weight': None,  # ImageNet's classes
    'head.fc.bias': None,
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
        from_image: Whether it is a network for images, which lacks the
            temporal weights and the head.
    """

    title: str
    keys: dict
    initial: frozenset
    from_image: bool = False


OPTIONAL = frozenset(
    [*HEAD.values(), *(f'backbone.{name}' for name in EXTRA_NORMS)]
)
NO_TEMPORAL = OPTIONAL | {f'backbone.{name}' for name in TEMPORAL}
VIDEO_LAYOUT = Layout('a released video model', BACKBONE, OPTIONAL)
IMAGE_LAYOUT = Layout('a released 2-D FocalNet', IMAGE, NO_TEMPORAL, True)
TIMM_LAYOUT = Layout('a FocalNet of timm', TIMM, NO_TEMPORAL, True)
RECOGNIZER_LAYOUT = Layout('an MMAction2 recognizer', RECOGNIZER, OPTIONAL)


def template(name: str) -> str:
    """Replace indices: ``'layers.0.norm'`` -> ``'layers.{}.norm'``."""
    return INDEX.sub('{}', name)


def find_key(name: str, keys: dict) -> str:
    """The key that a name has in a map, if it has one."""
    return name if name in keys else template(name)


def rename(name: str, keys: dict) -> str | None:
    """Look up a name in a map; None if it is dropped on purpose.

    Raises:
        KeyError: If the name is not in the map.
    """
    key = find_key(name, keys)
    renamed = keys[key]
    if key == name:
        return renamed
    return renamed and renamed.format(*INDEX.findall(name))
