"""Give a recognizer the weights of a file, and account for every one."""

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import UserError
from .key_maps import PART, rename, template
from .source import SHOWN, Source, list_shapes


@dataclass
class Accounts:
    """What became of every weight.

    Args:
        mapped: Names in the file -> names in the recognizer.
        dropped: Names in the file that were dropped on purpose.
        initial: Names in the recognizer that the file has no weight for.
        inflated: Names in the recognizer whose 2-D filter was spread over
            the frames of a tubelet.
    """

    mapped: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    initial: list[str] = field(default_factory=list)
    inflated: list[str] = field(default_factory=list)

    def __str__(self):
        inflated = ''
        if self.inflated:
            inflated = f' ({", ".join(self.inflated)} inflated over time)'
        return (
            f'{len(self.mapped)} weights mapped{inflated}; '
            f'{len(self.dropped)} dropped on purpose: '
            f'{summarise(self.dropped)}; {len(self.initial)} left at their '
            f'initialisation: {summarise(self.initial)}'
        )

    def lines(self) -> list[str]:
        """One line for each weight."""
        return [
            *(f'mapped   {k} -> {v}' for k, v in self.mapped.items()),
            *(f'dropped  {name}' for name in self.dropped),
            *(f'initial  {name}' for name in self.initial),
        ]


def summarise(names) -> str:
    """``'layers.*.norm1.bias (12), head.bias'``; ``'none'`` for none."""
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
) -> tuple[dict[str, Tensor], Accounts]:
    """Rename a file's weights for a recognizer.

    Args:
        source: The file.
        shapes: Of the recognizer's weights, or of its backbone's, by name.
        initialise: Whether the weights only initialise it. Parts that it
            does not have (a head, blocks, stages) are then dropped, so a
            shallower network takes each stage's first blocks, and a stem of
            tubelets is inflated.

    Returns:
        The weights by the recognizer's names, and the account.

    Raises:
        UserError: If a weight is in neither map, is of another shape, is
            wanted and missing, or is not finite.
    """
    accounts, weights = Accounts(), {}
    unknown, misshapen = {}, {}
    parts = {match[0] for name in shapes if (match := PART.match(name))}
    for name, value in source.weights.items():
        renamed = rename(name, source.layout.keys)
        part = PART.match(renamed or '')
        if renamed is None or (initialise and part and part[0] not in parts):
            accounts.dropped.append(name)
            continue
        if renamed not in shapes:
            unknown[name] = value
            continue
        if initialise and value.dim() == 4 and len(shapes[renamed]) == 5:
            value = inflate(value, shapes[renamed][2])
            accounts.inflated.append(renamed)
        if tuple(value.shape) != tuple(shapes[renamed]):
            misshapen[name] = value
        weights[renamed] = value
        accounts.mapped[name] = renamed
    accounts.initial = [name for name in shapes if name not in weights]
    missing = {
        name: shapes[name]
        for name in accounts.initial
        if template(name) not in source.layout.initial
    }
    problems = [
        f'{what}: {list_shapes(found)}'
        for what, found in (
            ('the model has no place for', unknown),
            ('of another shape than in the model', misshapen),
            ('wanted and not there', missing),
        )
        if found
    ]
    if problems:
        raise UserError(
            f'{source.path} ({source.title}) does not fit: '
            + '; '.join(problems)
            + '; give a checkpoint of this architecture, whole and as it was '
            'saved'
        )
    check_finite(source, accounts)
    return weights, accounts


def inflate(weight: Tensor, frames: int) -> Tensor:
    """Spread a 2-D filter over the frames of a tubelet.

    Args:
        weight: (C, C_in, h, w).
        frames: Of a tubelet.

    Returns:
        (C, C_in, frames, h, w); its sum over time is ``weight``.
    """
    return (weight / frames).unsqueeze(2).repeat(1, 1, frames, 1, 1)


def check_finite(source: Source, accounts: Accounts):
    """Refuse weights that are not numbers.

    Raises:
        UserError: With the weights that have NaN or infinity in them.
    """
    bad = {
        name: value
        for name, value in source.weights.items()
        if name in accounts.mapped and not is_finite(value)
    }
    if bad:
        raise UserError(
            f'{source.path} has NaN or infinite values in {len(bad)} of its '
            f'weights: {list_shapes(bad, SHOWN)}; its training has '
            'diverged or the file is damaged: give an earlier checkpoint'
        )


def is_finite(value: Tensor) -> bool:
    """Tell whether there is neither NaN nor infinity in a tensor.

    The sum tells, several times as fast as a look at each value; but a sum
    may also overflow.
    """
    total = torch.isfinite(value.sum())
    return bool(total) or bool(torch.isfinite(value).all())
