"""The published architectures, and reading the architecture off weights."""

import re
from collections import defaultdict
from dataclasses import asdict, dataclass

# Width of the first stage, blocks per stage, and the drop-path rate of the
# papers' training (Video-FocalNets, Table 9; DVFL-Net, Sec. III).
ARCHS = {
    'nano': dict(embed_dim=96, depths=(1, 1, 2, 1), drop_path_rate=0.2),
    'tiny': dict(embed_dim=96, depths=(2, 2, 6, 2), drop_path_rate=0.2),
    'small': dict(embed_dim=96, depths=(2, 2, 18, 2), drop_path_rate=0.3),
    'base': dict(embed_dim=128, depths=(2, 2, 18, 2), drop_path_rate=0.5),
}

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
        depths: Blocks per stage.
        focal_levels: Focal levels per stage.
        focal_windows: Kernel size of the first level, per stage.
        tubelet_size: Frames per patch of the stem.
        in_channels: Channels of the input.
        norms: Norms of the outputs, one per returned stage: ``norm`` of the
            network's last stage, ``norm{i}`` of an earlier stage i. The last
            of them is that of the last stage of ``depths``.
        num_classes: Number of classes of the head; None without a head.
    """

    embed_dim: int
    depths: tuple[int, ...]
    focal_levels: tuple[int, ...]
    focal_windows: tuple[int, ...]
    tubelet_size: int
    in_channels: int
    norms: tuple[str, ...]
    num_classes: int | None

    def __str__(self):
        return ', '.join(
            f'{name} {value}'
            for name, value in asdict(self).items()
            if value is not None
        )


def read_architecture(shapes: dict) -> Architecture | None:
    """Read the architecture off the shapes of a recognizer's weights.

    Args:
        shapes: Shapes by name.

    Returns:
        The architecture; None without a stem weight of shape
        (C, C_in, 4, 4) or (C, C_in, t, 4, 4).
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
        in_channels=stem[1],
        norms=read_norms(shapes, len(stages)),
        num_classes=classes[0] if classes else None,
    )


def read_norms(shapes: dict, stages: int) -> tuple[str, ...]:
    """Read the norms of the outputs off the names of a backbone's weights.

    Stages after the last output are not built, so the last stage in a file
    has a norm. A file without any is taken for incomplete: ``norm`` lacks.
    """
    early = [
        f'norm{i}'
        for i in range(stages)
        if f'backbone.norm{i}.weight' in shapes
    ]
    ends_early = early[-1:] == [f'norm{stages - 1}']
    if ends_early and 'backbone.norm.weight' not in shapes:
        return tuple(early)
    return (*early[: len(early) - ends_early], 'norm')


def list_differences(
    found: Architecture, wanted: Architecture, initialise: bool
) -> list[str]:
    """Describe each difference between a file and a model.

    Args:
        found: The architecture of the file's weights.
        wanted: The architecture of the model.
        initialise: Whether the weights only initialise the model. The model
            may then have another head, fewer blocks or stages, other input
            channels, and a stem of tubelets.

    Norms are not compared: a model may have more than the file.
    """
    compared, target = asdict(found), asdict(wanted)
    del compared['norms']
    if found.num_classes is None or wanted.num_classes is None or initialise:
        del compared['num_classes']
    if initialise:
        stages = len(wanted.depths)
        for name in ('depths', 'focal_levels', 'focal_windows'):
            compared[name] = compared[name][:stages]
        depths = compared['depths']
        if len(depths) == stages and all(
            depths[i] >= depth for i, depth in enumerate(wanted.depths)
        ):
            del compared['depths']
        if found.tubelet_size == 1:
            del compared['tubelet_size']
        del compared['in_channels']
    return [
        f'{name} is {value} in the file, wanted: {target[name]}'
        for name, value in compared.items()
        if value != target[name]
    ]
