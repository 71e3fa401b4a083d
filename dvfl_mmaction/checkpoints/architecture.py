"""Read an architecture off the shapes of a recognizer's weights."""

import re
from collections import defaultdict
from dataclasses import asdict, dataclass

STEM = 'backbone.patch_embed.proj.weight'
BLOCK = re.compile(r'backbone\.layers\.(\d+)\.blocks\.(\d+)\.')
FOCAL = re.compile(
    r'backbone\.layers\.(\d+)\.blocks\.\d+\.modulation\.focal_layers\.(\d+)\.'
)
CLASSES = 'cls_head.fc_cls.weight'


@dataclass(frozen=True)
class Architecture:
    """A Video-FocalNet and its head.

    Args:
        embed_dim: Channels of the first stage.
        depths: Blocks of each stage.
        focal_levels: Levels of each stage.
        focal_windows: Kernel size of the first level of each stage.
        tubelet_size: Frames that a patch of the stem spans.
        num_classes: Of the head; None without one.
    """

    embed_dim: int
    depths: tuple[int, ...]
    focal_levels: tuple[int, ...]
    focal_windows: tuple[int, ...]
    tubelet_size: int
    num_classes: int | None

    def __str__(self):
        return ', '.join(
            f'{name} {value}'
            for name, value in asdict(self).items()
            if value is not None
        )


def describe(shapes: dict) -> Architecture | None:
    """Tell the architecture from shapes by a recognizer's names.

    Returns:
        None if the stem's weight, (C, 3, 4, 4) or (C, 3, t, 4, 4), is not
        there.
    """
    stem = tuple(shapes.get(STEM, ()))
    if len(stem) not in (4, 5):
        return None
    blocks, windows = defaultdict(set), defaultdict(dict)
    for name, shape in shapes.items():
        if match := BLOCK.match(name):
            blocks[int(match[1])].add(int(match[2]))
        if match := FOCAL.match(name):
            windows[int(match[1])][int(match[2])] = shape[-1] if shape else 0
    stages = sorted(blocks)
    classes = shapes.get(CLASSES)
    return Architecture(
        embed_dim=stem[0],
        depths=tuple(len(blocks[i]) for i in stages),
        focal_levels=tuple(len(windows[i]) for i in stages),
        focal_windows=tuple(
            min(windows[i].values(), default=0) for i in stages
        ),
        tubelet_size=stem[2] if len(stem) == 5 else 1,
        num_classes=classes[0] if classes else None,
    )


def differences(
    found: Architecture, wanted: Architecture, initialise: bool
) -> list[str]:
    """List what differs.

    Args:
        found: Of a file's weights.
        wanted: Of the model that is to have them.
        initialise: Whether the weights only initialise the model, which
            then may have a head of its own, fewer blocks or stages, and a
            stem of tubelets.
    """
    mine, yours = asdict(found), asdict(wanted)
    if found.num_classes is None or wanted.num_classes is None or initialise:
        del mine['num_classes']
    if initialise:
        stages = len(wanted.depths)
        for name in ('depths', 'focal_levels', 'focal_windows'):
            mine[name] = mine[name][:stages]
        if len(mine['depths']) == stages and all(
            mine['depths'][i] >= depth for i, depth in enumerate(wanted.depths)
        ):
            del mine['depths']
        if found.tubelet_size == 1:
            del mine['tubelet_size']
    return [
        f'{name} is {value} in the file, {yours[name]} wanted'
        for name, value in mine.items()
        if value != yours[name]
    ]
