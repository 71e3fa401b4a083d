"""The settings of an ablation: the product of axes of config values."""

import ast
import inspect
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmaction.registry import MODELS
from mmengine.config import Config

from ...errors import UserError, suggestion

LOSS = 'model.loss_kd.type'
TEMPERATURE = 'model.loss_kd.temperature'
CHECKPOINT = 'model.teacher.checkpoint'
# What a student without a teacher has no place for.
OF_TEACHER = ('model.teacher', 'model.loss_kd', 'model.alpha')
CONSTANTS = {'true': True, 'false': False, 'none': None}


@dataclass(frozen=True)
class Axis:
    """What varies, and its values.

    Attributes:
        name: Name in tables and plots.
        choices: Options of the config by the value's label.
    """

    name: str
    choices: dict[object, dict]


@dataclass(frozen=True)
class Setting:
    """A config and its options.

    Attributes:
        config: Path of the config.
        labels: Value of each axis, for names, tables and plots.
        options: Values by config key, as ``--cfg-options``.
    """

    config: str
    labels: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the config, then ``axis=value`` by axis."""
        return setting_name(Path(self.config).stem, self.labels)


def setting_name(stem: str, labels: dict) -> str:
    """Name of a setting, from its config's name and its labels."""
    texts = (f'{k}={value_text(v)}' for k, v in sorted(labels.items()))
    return ' '.join([stem, *texts])


def value_text(value) -> str:
    """A label as text; 5.0 as 5."""
    return f'{value:g}' if isinstance(value, float) else str(value)


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
    return [parse_value(part.strip()) for part in parts]


def parse_value(text: str):
    """Parse one value; see :func:`parse_values`."""
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
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
        values[key] = parse_values(listed)
    ends = Counter(key.rpartition('.')[2] for key in values)
    axes = []
    for key, listed in values.items():
        end = key.rpartition('.')[2]
        name = end if ends[end] == 1 else key
        axes.append(Axis(name, {label(v): {key: v} for v in listed}))
    return axes


def label(value):
    """The value itself if it is a number or a text, else its text."""
    return value if isinstance(value, int | float | str) else repr(value)


def vary_axis(path: str) -> Axis:
    """An axis from a JSON file: named dicts of options that vary together.

    Raises:
        UserError: If the file is not such JSON.
    """
    try:
        choices = json.loads(Path(path).read_text('utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'--vary {path} cannot be read: {error}') from None
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
    return Axis(Path(path).stem, choices)


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
    found = {name for entry in entries for name in entry['labels']}
    axis = next((a for a in axes if {a.name} == found), None)
    if axis is None:
        listed = ', '.join(sorted(found)) or 'nothing'
        raise UserError(
            f'the teachers in {where} vary over {listed}; give teachers that '
            'were trained over one --vary or --grid of this command'
        )
    trained = defaultdict(list)
    for entry in entries:
        if entry['status'] == 'done':
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
    return [Axis(a.name, choices) if a is axis else a for a in axes]


def make_settings(
    config: str, axes: Sequence[Axis], common: dict | None = None
) -> list[Setting]:
    """All combinations of the axes' values, in the order of the axes.

    Where the loss takes no temperature, that axis is left out. A student
    without a teacher leaves out what belongs to the teacher. What then is
    equal occurs once.

    Args:
        config: Path of the config.
        axes: What varies.
        common: Options of all settings.

    Raises:
        UserError: If two axes have one name or one key, or an option does
            not fit the config.
    """
    check_axes(axes)
    cfg = Config.fromfile(config)
    settings = {}
    for choice in itertools.product(*(axis.choices.items() for axis in axes)):
        labels, options = {}, dict(common or {})
        for axis, (name, changes) in zip(axes, choice, strict=True):
            kept = fitting_options(cfg, changes, options)
            if kept or not changes:
                labels[axis.name] = name
            options |= kept
        if not is_distillation(cfg):
            options = fitting_options(cfg, options, {})
        check_keys(cfg.to_dict(), options, config)
        setting = Setting(config, labels, options)
        settings.setdefault(repr(sorted(options.items(), key=str)), setting)
    return list(settings.values())


def check_axes(axes: Sequence[Axis]):
    """Reject axes that set the same thing."""
    for kind, names in (
        ('name', [axis.name for axis in axes]),
        (
            'key',
            [
                k
                for a in axes
                for k in {k for o in a.choices.values() for k in o}
            ],
        ),
    ):
        twice = [name for name, n in Counter(names).items() if n > 1]
        if twice:
            raise UserError(
                f'two of the options have the {kind} {twice[0]}; give all '
                'its values in one of them'
            )


def is_distillation(cfg: dict) -> bool:
    """Whether the config's model has a teacher."""
    return bool(cfg.get('model', {}).get('teacher'))


def fitting_options(cfg: dict, options: dict, chosen: dict) -> dict:
    """The options that the config has a place for.

    Args:
        cfg: The config.
        options: The options.
        chosen: Options that were chosen before; of them the loss is read.
    """
    if not is_distillation(cfg):
        return {k: v for k, v in options.items() if not of_teacher(k)}
    if TEMPERATURE in options:
        loss = cfg.model.get('loss_kd') or {}
        if isinstance(loss, list | tuple) and LOSS not in chosen:
            raise UserError(
                '--temperature needs one loss_kd, but the config has '
                f'{len(loss)}; vary model.loss_kd with --vary'
            )
        kind = chosen.get(LOSS) or loss.get('type', 'KLDivergenceLoss')
        if 'temperature' not in loss_parameters(kind):
            return {k: v for k, v in options.items() if k != TEMPERATURE}
    return options


def of_teacher(key: str) -> bool:
    """Whether a config key belongs to the teacher."""
    return any(
        key == part or key.startswith(f'{part}.') for part in OF_TEACHER
    )


def loss_parameters(name: str) -> set[str]:
    """Names of the arguments of a registered loss.

    Raises:
        UserError: If it is not registered.
    """
    loss = MODELS.get(name)
    if loss is None:
        known = [n for n in MODELS.module_dict if n.endswith('Loss')]
        raise UserError(
            f'--loss {name} is not registered'
            + suggestion(name, known, '; give the name of a loss')
        )
    return set(inspect.signature(loss).parameters)


def check_keys(cfg: dict, options: dict, config: str):
    """Reject options below a part that the config does not have.

    Raises:
        UserError: With the likely part.
    """
    for key in options:
        part, seen = cfg, []
        for name in key.split('.')[:-1]:
            if isinstance(part, list | tuple):
                break  # MMEngine checks indices of lists
            if not isinstance(part, dict) or name not in part:
                known = part if isinstance(part, dict) else ()
                raise UserError(
                    f'{config} has no {".".join([*seen, name])} to set '
                    f'{key}{suggestion(name, known, "")}'
                )
            part = part[name]
            seen.append(name)


def resolve(setting: Setting, seed: int | None = None) -> Config:
    """Load a setting's config with its options and a seed.

    A loss of another type than the config's replaces it, so that no
    argument of the old one is passed to the new one.
    """
    cfg = Config.fromfile(setting.config)
    options = dict(setting.options)
    kind = options.pop(LOSS, None)
    if kind is not None:
        loss = cfg.model.get('loss_kd') or {}
        if isinstance(loss, list | tuple) or loss.get('type') != kind:
            cfg.model.loss_kd = dict(type=kind)
    cfg.merge_from_dict(options)
    if seed is not None:
        cfg.merge_from_dict({'randomness.seed': seed})
    return cfg
