"""The settings of an ablation: the product of its axes."""

import copy
import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmaction.registry import MODELS
from mmengine.config import Config

from ...distillation.distill_recognizer import complete_loss
from ...engine.config_checks import type_name
from ...errors import UserError, suggestion
from .axes import LOSS, LOSS_KD, TEMPERATURE, Axis, check_axes

# What a student without a teacher has no place for.
OF_TEACHER = ('model.teacher', 'model.loss_kd', 'model.alpha')


@dataclass(frozen=True)
class Setting:
    """A config and its options.

    Attributes:
        config: Path of the config.
        labels: Value of each axis, for names, tables and plots.
        options: Values by config key, as ``--cfg-options``.
        axes: Keys, values and source of each axis in ``labels``.
    """

    config: str
    labels: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    axes: dict = field(default_factory=dict)

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
        chosen = dict(options)
        for _, changes in choice:
            chosen |= changes
        for axis, (name, changes) in zip(axes, choice, strict=True):
            kept = fitting_options(cfg, changes, chosen)
            if kept or not changes:
                labels[axis.name] = name
            options |= kept
        if not is_distillation(cfg):
            options = fitting_options(cfg, options, {})
        check_keys(cfg.to_dict(), options, config)
        about = {a.name: a.describe() for a in axes if a.name in labels}
        setting = Setting(config, labels, options, about)
        settings.setdefault(repr(sorted(options.items(), key=str)), setting)
    return list(settings.values())


def is_distillation(cfg: dict) -> bool:
    """Whether the config's model has a teacher."""
    return bool(cfg.get('model', {}).get('teacher'))


def fitting_options(cfg: dict, options: dict, chosen: dict) -> dict:
    """The options that the config has a place for.

    Args:
        cfg: The config.
        options: The options.
        chosen: Options of all axes; of them the loss is read.
    """
    if not is_distillation(cfg):
        return {k: v for k, v in options.items() if not of_teacher(k)}
    if TEMPERATURE in options:
        loss = cfg.model.get('loss_kd') or {}
        if is_whole_loss(chosen.get(LOSS_KD)):
            loss = chosen[LOSS_KD]
        several = isinstance(loss, list | tuple)
        if several and LOSS_KD not in chosen and LOSS not in chosen:
            raise UserError(
                '--temperature needs one loss_kd, but the config has '
                f'{len(loss)}; vary model.loss_kd with --vary'
            )
        kind = chosen.get(LOSS) or (not several and loss_type(loss))
        if not kind or 'temperature' not in loss_parameters(kind):
            return {k: v for k, v in options.items() if k != TEMPERATURE}
    return options


def is_whole_loss(value) -> bool:
    """Whether a value is a loss with its type, or a list of losses."""
    return isinstance(value, list | tuple) or (
        isinstance(value, dict) and 'type' in value
    )


def loss_type(loss: dict | None) -> str:
    """Name of a loss, the default one if its config has no type."""
    return type_name(complete_loss(loss, several_labels=False))


def losses_of(cfg: Config) -> list[dict]:
    """The losses of a config that has a list of them; else none."""
    losses = cfg.get('model', {}).get('loss_kd')
    return losses if isinstance(losses, list | tuple) else []


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

    A loss that is given with its type replaces that of the config, and so
    does another type: no argument of the old one is passed to the new one.

    Raises:
        UserError: If an option does not fit the config.
    """
    cfg = Config.fromfile(setting.config)
    options = copy.deepcopy(setting.options)
    if is_whole_loss(options.get(LOSS_KD)):
        cfg.model.loss_kd = options.pop(LOSS_KD)
    for i, loss in enumerate(losses_of(cfg)):
        # MMEngine merges also where another type is given.
        if is_whole_loss(options.get(f'{LOSS_KD}.{i}')):
            loss.clear()
    kind = options.pop(LOSS, None)
    if kind is not None:
        loss = cfg.model.get('loss_kd')
        same = type_name(dict(type=kind))
        if isinstance(loss, list | tuple) or loss_type(loss) != same:
            cfg.model.loss_kd = dict(type=kind)
    merge(cfg, options, setting)
    if seed is not None:
        cfg.merge_from_dict({'randomness.seed': seed})
    return cfg


def merge(cfg: Config, options: dict, setting: Setting):
    """Set options of a config.

    Raises:
        UserError: If the config has something else in the place of one.
    """
    for key, value in options.items():
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError) as error:
            raise UserError(
                f'{setting.config} has no place for {key} ({error}); set the '
                'whole list or dict that should have it'
            ) from None
