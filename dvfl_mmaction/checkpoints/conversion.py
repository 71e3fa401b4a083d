"""Rename a file's weights for a recognizer and account for every one."""

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import UserError
from .architecture import STEM
from .key_maps import PART, rename, template
from .source import SHOWN, Source, list_shapes


@dataclass
class ConversionReport:
    """Where every weight went.

    Args:
        mapped: Names in the file -> names in the recognizer.
        dropped: Names in the file that were dropped on purpose.
        initial: Names in the recognizer without a weight in the file.
        inflated: Names in the recognizer whose 2-D filter was spread over
            the frames of a tubelet.
        averaged: Names in the recognizer whose filter was averaged over the
            input channels, since the recognizer has another number of them.
    """

    mapped: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    initial: list[str] = field(default_factory=list)
    inflated: list[str] = field(default_factory=list)
    averaged: list[str] = field(default_factory=list)

    def __str__(self):
        changes = [f'{name} inflated over time' for name in self.inflated]
        changes += [
            f'{name} averaged over its input channels'
            for name in self.averaged
        ]
        changed = f' ({"; ".join(changes)})' if changes else ''
        return (
            f'{len(self.mapped)} weights mapped{changed}; '
            f'{len(self.dropped)} dropped on purpose: '
            f'{summarise(self.dropped)}; {len(self.initial)} keep their '
            f'initialisation: {summarise(self.initial)}'
        )

    def lines(self) -> list[str]:
        """Return one line per weight."""
        return [
            *(f'mapped   {k} -> {v}' for k, v in self.mapped.items()),
            *(f'dropped  {name}' for name in self.dropped),
            *(f'initial  {name}' for name in self.initial),
        ]


def summarise(names) -> str:
    """Group names: ``'layers.*.norm1.bias (12), head.bias'``, or 'none'."""
    counts = Counter(template(name) for name in names)
    return (
        ', '.join(
            name.format(*'*' * name.count('{}'))
            + (f' ({count})' if count > 1 else '')
            for name, count in counts.items()
        )
        or 'none'
    )


def convert(
    source: Source, shapes: dict, initialise: bool
) -> tuple[dict[str, Tensor], ConversionReport]:
    """Rename a file's weights for a recognizer.

    Args:
        source: The file.
        shapes: Shapes of the weights of the recognizer, or of its backbone,
            by name.
        initialise: Whether the weights only initialise the recognizer.
            Parts that it lacks (a head, blocks, stages) are then dropped,
            so a shallower network takes each stage's first blocks, a stem
            of tubelets is inflated, and a stem of another number of input
            channels is averaged over them.

    Returns:
        The weights by the recognizer's names, and the report.

    Raises:
        UserError: If a weight is unknown, has another shape, is missing, or
            is not finite.
    """
    report, weights = ConversionReport(), {}
    unknown, misshapen = {}, {}
    parts = {match[0] for name in shapes if (match := PART.match(name))}
    for name, value in source.weights.items():
        renamed = rename(name, source.layout.keys)
        part = PART.match(renamed or '')
        if renamed is None or (initialise and part and part[0] not in parts):
            report.dropped.append(name)
            continue
        if renamed not in shapes:
            unknown[name] = value
            continue
        if value.shape[2:] == (1, 1) and len(shapes[renamed]) == 2:
            value = value.flatten(1)  # a 1x1 convolution as a linear layer
        if initialise and value.dim() == 4 and len(shapes[renamed]) == 5:
            value = inflate(value, shapes[renamed][2])
            report.inflated.append(renamed)
        in_channels = shapes[renamed][1] if renamed == STEM else 0
        if initialise and in_channels and value.shape[1] != in_channels:
            value = fit_stem(value, in_channels)
            report.averaged.append(renamed)
        if tuple(value.shape) != tuple(shapes[renamed]):
            misshapen[name] = value
        weights[renamed] = value
        report.mapped[name] = renamed
    report.initial = [name for name in shapes if name not in weights]
    missing = {
        name: shapes[name]
        for name in report.initial
        if template(name) not in source.layout.initial
    }
    problems = [
        f'{what}: {list_shapes(found)}'
        for what, found in (
            ('not in the model', unknown),
            ('shape differs from the model', misshapen),
            ('missing', missing),
        )
        if found
    ]
    if problems:
        raise UserError(
            f'{source.path} ({source.title}) does not fit: '
            + '; '.join(problems)
            + '; give a complete, unchanged checkpoint of this architecture'
        )
    check_finite(source, report)
    return weights, report


def inflate(weight: Tensor, frames: int) -> Tensor:
    """Spread a 2-D filter over the frames of a tubelet.

    Args:
        weight: (C, C_in, h, w).
        frames: Frames per tubelet.

    Returns:
        (C, C_in, frames, h, w); its sum over time is ``weight``.
    """
    return (weight / frames).unsqueeze(2).repeat(1, 1, frames, 1, 1)


def fit_stem(weight: Tensor, in_channels: int) -> Tensor:
    """Fit a stem's filter to another number of input channels.

    Every channel gets the mean over the channels of the filter, as in the
    cross-modality initialisation of Temporal Segment Networks
    (https://arxiv.org/abs/1608.00859, Sec. 3.3).

    Args:
        weight: (C, C_in, h, w) or (C, C_in, t, h, w).
        in_channels: Wanted input channels, >= 1.

    Returns:
        The filter, with ``in_channels`` in place of C_in; the filter itself
        if it has that number already.
    """
    if weight.shape[1] == in_channels:
        return weight
    mean = weight.mean(1, keepdim=True)
    return mean.repeat_interleave(in_channels, dim=1)


def check_finite(source: Source, report: ConversionReport):
    """Check that the mapped weights are finite.

    Raises:
        UserError: With the weights that contain NaN or infinity.
    """
    bad = {
        name: value
        for name, value in source.weights.items()
        if name in report.mapped and not is_finite(value)
    }
    if bad:
        raise UserError(
            f'{source.path} has NaN or infinite values in {len(bad)} of its '
            f'weights: {list_shapes(bad, SHOWN)}; the training diverged or '
            'the file is damaged; give an earlier checkpoint'
        )


def is_finite(value: Tensor) -> bool:
    """Check that a tensor contains neither NaN nor infinity.

    A finite sum is enough, and is several times as fast to compute as a test
    of each value. A sum that is not finite may be an overflow.
    """
    total = torch.isfinite(value.sum())
    return bool(total) or bool(torch.isfinite(value).all())
