"""The axes of an ablation: what varies, and its values."""

import ast
import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...errors import UserError

LOSS_KD = 'model.loss_kd'
LOSS = 'model.loss_kd.type'
TEMPERATURE = 'model.loss_kd.temperature'
CHECKPOINT = 'model.teacher.checkpoint'
CONSTANTS = {'true': True, 'false': False, 'none': None}


@dataclass(frozen=True)
class Axis:
    """What varies, and its values.

    Attributes:
        name: Name in tables and plots.
        choices: Options of the config by the value's label.
        source: Files of the values; they tell axes of one name apart.
    """

    name: str
    choices: dict[object, dict]
    source: str = field(default='', compare=False)

    def describe(self) -> dict:
        """What results tell about the axis, as plain values."""
        keys = {key for options in self.choices.values() for key in options}
        return dict(
            keys=sorted(keys), values=list(self.choices), source=self.source
        )


def axes_of(
    alpha: Sequence[float] | None = None,
    temperature: Sequence[float] | None = None,
    loss: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    grid: Sequence[str] = (),
    vary: Sequence[str] = (),
) -> list[Axis]:
    """The axes of the options of ``tools/ablate.py``."""
    named = (  # the loss comes before its temperature
        ('loss', LOSS, loss),
        ('alpha', 'model.alpha', alpha),
        ('temperature', TEMPERATURE, temperature),
        ('epochs', 'epochs', epochs),
    )
    axes = [
        Axis(name, {value: {key: value} for value in values})
        for name, key, values in named
        if values
    ]
    return axes + grid_axes(grid) + [vary_axis(path) for path in vary]


def parse_values(text: str) -> list:
    """Parse values separated by commas outside of brackets and quotes.

    Numbers, strings in quotes, lists, dicts, ``true``, ``false`` and
    ``none`` are parsed; the rest is text.
    """
    return [parse_value(part) for part in split_values(text)]


def split_values(text: str) -> list[str]:
    """Split text at commas outside of brackets and quotes."""
    parts, depth, quote = [''], 0, ''
    for c in text:
        if quote:
            quote = '' if c == quote else quote
        elif c in '\'"':
            quote = c
        else:
            depth += (c in '([{') - (c in ')]}')
        if c == ',' and not depth and not quote:
            parts.append('')
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


def parse_value(text: str):
    """Parse one value; see :func:`parse_values`."""
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text


def grid_axes(texts: Sequence[str]) -> list[Axis]:
    """Axes of ``--grid KEY=VALUE,VALUE``.

    An axis has the last part of its key as its name, or the key where that
    is not unique.

    Raises:
        UserError: If a text has no key or no value, or a key is repeated.
    """
    values = {}
    for text in texts:
        key, equals, listed = text.partition('=')
        if not key or not equals or not listed:
            raise UserError(
                f'--grid {text} is not KEY=VALUE,VALUE; give, for example, '
                '--grid optim_wrapper.optimizer.lr=0.01,0.1'
            )
        if key in values:
            raise UserError(
                f'--grid {key} is given twice; list all values after one ='
            )
        if '' in split_values(listed):
            raise UserError(
                f'--grid {text} has an empty value; remove a comma, or write '
                'an empty text as two quotes'
            )
        values[key] = parse_values(listed)
    ends = Counter(key.rpartition('.')[2] for key in values)
    axes = []
    for key, listed in values.items():
        end = key.rpartition('.')[2]
        name = end if ends[end] == 1 else key
        axes.append(Axis(name, {label(v): {key: v} for v in listed}))
    return axes


def label(value):
    """The value itself if it is a number or a text, else its text.

    Booleans are text, since 1 and True are one key of a dict.
    """
    is_plain = isinstance(value, int | float | str)
    return value if is_plain and not isinstance(value, bool) else repr(value)


def vary_axis(path: str) -> Axis:
    """An axis from a JSON file: named dicts of options that vary together.

    Raises:
        UserError: If the file is not such JSON, or has a name twice.
    """
    try:
        text = Path(path).read_text('utf-8')
        choices = json.loads(text, object_pairs_hook=distinct)
    except (OSError, ValueError) as error:
        raise UserError(
            f'--vary {path} cannot be read as JSON ({error}); give a file '
            'with options by name'
        ) from None
    if not (
        isinstance(choices, dict)
        and choices
        and all(isinstance(one, dict) for one in choices.values())
    ):
        raise UserError(
            f'--vary {path} holds no settings; give names with their '
            'options, such as {"fold_1": {"train_dataloader.dataset.ann_file"'
            ': "train_1.txt"}}'
        )
    return Axis(Path(path).stem, choices, os.path.normpath(path))


def distinct(pairs: Sequence[tuple]) -> dict:
    """Make a dict of names and values; of equal names JSON takes the last.

    Raises:
        ValueError: If a name occurs twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        ((name, _),) = counts.most_common(1)
        raise ValueError(f'{name!r} is there {counts[name]} times')
    return found


def add_teachers(
    axes: Sequence[Axis], entries: Sequence[dict], where: str
) -> list[Axis]:
    """Give each value of an axis, such as a fold, a teacher of its own.

    Args:
        axes: What varies.
        entries: Results of the teachers' trainings over one of the axes.
        where: Their folder, for errors.

    Returns:
        The axes; the options of the one that is theirs, too, also set
        ``model.teacher.checkpoint``.

    Raises:
        UserError: If the teachers vary over another axis, several were
            trained for a value, or one is missing.
    """
    entries = [e for e in entries if e['kind'] != 'teacher']
    values = defaultdict(set)
    for entry in entries:
        for name, value in entry['labels'].items():
            values[name].add(str(value))
    found = set(values)
    # what all teachers share tells them apart only if the students vary it;
    # the epochs of a teacher are its own
    shared = {n for n in found if len(values[n]) == 1}
    told = found - (shared - {a.name for a in axes})
    if len(told) > 1:
        told -= shared & {'epochs'}
    axis = next((a for a in axes if {a.name} == told), None)
    if axis is None:
        listed = ', '.join(sorted(found)) or 'nothing'
        raise UserError(
            f'the teachers in {where} vary over {listed}; give teachers that '
            'were trained over one --vary or --grid of this command'
        )
    trained = defaultdict(list)
    for entry in entries:
        if entry['status'] == 'done' and axis.name in entry['labels']:
            value = str(entry['labels'][axis.name])
            trained[value].append(entry['checkpoint'])
    choices = {}
    for value, options in axis.choices.items():
        checkpoints = trained[str(value)]
        if len(checkpoints) != 1:
            raise UserError(
                f'{where} has {len(checkpoints)} finished teachers for '
                f'{axis.name} {value}; train one, with one seed'
            )
        choices[value] = options | {CHECKPOINT: checkpoints[0]}
    given = replace(
        axis, choices=choices, source=f'{axis.source} with {where}'
    )
    return [given if a is axis else a for a in axes]


def check_axes(axes: Sequence[Axis]):
    """Reject axes that set the same thing."""
    for kind, names in (
        ('name', [axis.name for axis in axes]),
        (
            'key',
            [
                k
                for a in axes
                for k in {
                    LOSS_KD if k == LOSS else k
                    for o in a.choices.values()
                    for k in o
                }
            ],
        ),
    ):
        twice = [name for name, n in Counter(names).items() if n > 1]
        if twice:
            raise UserError(
                f'two of the options have the {kind} {twice[0]}; give all '
                'its values in one of them'
            )
