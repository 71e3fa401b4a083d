"""Top-level options of a config that change its schedule, by name."""

import math
from collections.abc import Iterator

from mmengine.logging import print_log

from ..errors import UserError
from .config_checks import type_name

# Arguments of MMEngine's schedulers that count epochs or iterations.
COUNTS = ('begin', 'end', 'T_max', 'step_size', 'milestones', 'total_steps')
WARMUPS = ('Linear', 'Constant')


def apply_schedule(cfg: dict):
    """Change the training to ``epochs`` and the warm-up to ``warmup_epochs``.

    ``epochs`` sets ``train_cfg.max_epochs``; all parts of
    ``param_scheduler`` change in proportion, also a warm-up that counts
    iterations. ``warmup_epochs`` sets the end of the warm-up, which is the
    part ``LinearLR`` or ``ConstantLR`` that begins at 0, and the beginning
    of the part that follows it; 0 removes the warm-up. Without an option
    the schedule stays.

    Raises:
        UserError: If a value is malformed, the warm-up is not shorter than
            the training, or there is no warm-up or no number of epochs.
    """
    epochs, warmup = cfg.get('epochs'), cfg.get('warmup_epochs')
    check_numbers(epochs, warmup)
    loop = cfg.get('train_cfg')
    if not loop or (epochs is None and warmup is None):
        return
    if not loop.get('max_epochs'):
        raise UserError(
            'epochs and warmup_epochs need train_cfg.max_epochs, but the '
            'training counts iterations; set train_cfg.max_iters and '
            'param_scheduler instead'
        )
    if epochs is not None:
        set_epochs(cfg, epochs)
    if warmup is not None and cfg.get('param_scheduler') is not None:
        set_warmup(cfg, warmup)


def check_numbers(epochs, warmup):
    """Reject malformed numbers of epochs."""

    def number(value, kind):
        return isinstance(value, kind) and not isinstance(value, bool)

    if epochs is not None and not (number(epochs, int) and epochs >= 1):
        raise UserError(
            f'epochs is {epochs!r}; give a whole number of 1 or more'
        )
    if warmup is None:
        return
    if not (number(warmup, int | float) and 0 <= warmup < math.inf):
        raise UserError(
            f'warmup_epochs is {warmup!r}; give a number of epochs, 0 for no '
            'warm-up'
        )


def set_epochs(cfg: dict, epochs: int):
    """Set the number of epochs; the schedule follows in proportion."""
    loop = cfg['train_cfg']
    before = loop['max_epochs']
    old = schedule_end(cfg) or before
    if before > old and before != epochs:
        raise UserError(
            f'epochs is {epochs} but train_cfg.max_epochs is {before}, '
            f'beyond the end of param_scheduler at {old}; give only epochs'
        )
    if before not in (epochs, old):
        print_log(
            f'epochs={epochs} replaces train_cfg.max_epochs={before}',
            logger='current',
        )
    loop['max_epochs'] = epochs
    for key in ('val_begin', 'val_interval'):
        if loop.get(key, 0) > epochs:
            loop[key] = epochs
    for parts in scheduler_lists(cfg):
        for part in parts:
            scale_part(part, epochs, old)


def schedule_end(cfg: dict) -> int | float | None:
    """Return the last epoch of the parts that count epochs, if any."""
    ends = [
        part['end']
        for parts in scheduler_lists(cfg)
        for part in parts
        if part.get('by_epoch', True) and part.get('end', math.inf) < math.inf
    ]
    return max(ends, default=None)


def uneven_schedule(cfg: dict) -> str | None:
    """Say that the training and its schedule do not end together, if so.

    A schedule of warm-ups alone may end early: the rate then stays.
    """
    last = (cfg.get('train_cfg') or {}).get('max_epochs')
    end = schedule_end(cfg)
    if not last or end is None or end == last:
        return None
    if end > last:
        return (
            f'train_cfg.max_epochs is {last} but param_scheduler ends at '
            f'epoch {end}: the schedule is cut off; to shorten it as well, '
            f'set epochs={last} instead'
        )
    parts = [part for parts in scheduler_lists(cfg) for part in parts]
    if all(part.get('end', math.inf) < math.inf for part in parts) and any(
        part['end'] == end and not is_warmup(part) for part in parts
    ):
        return (
            f'train_cfg.max_epochs is {last} but param_scheduler ends at '
            f'epoch {end}: the last rate stays for the epochs after it; to '
            f'lengthen the schedule as well, set epochs={last} instead'
        )
    return None


def scale_part(part: dict, epochs: int, old: int):
    """Scale all counts of a part by epochs / old.

    A cosine that ends with its part still does, so that the rate does not
    rise again: rounded by itself, ``T_max`` may be less than the part.
    """
    fills = 'T_max' in part and math.isclose(part['T_max'], length_of(part))
    for key in COUNTS:
        if key in part:
            part[key] = scale_count(part, key, epochs, old)
    if fills and length_of(part) > 0:
        part['T_max'] = length_of(part)


def length_of(part: dict) -> int | float:
    """Return the epochs or iterations of a part; infinite without an end."""
    return part.get('end', math.inf) - part.get('begin', 0)


def scale_count(part: dict, key: str, epochs: int, old: int):
    """Scale a number of epochs or iterations by epochs / old.

    The result is whole. An ``end`` or ``begin`` below one epoch remains a
    fraction if MMEngine converts it to iterations.
    """
    value = part[key]
    if isinstance(value, list | tuple):
        return [max(1, round(v * epochs / old)) for v in value]
    if not 0 < value < math.inf:
        return value
    scaled = value * epochs / old
    if scaled < 1 and part.get('convert_to_iter_based'):
        return scaled
    whole = round(scaled)
    return whole if key in ('begin', 'end') else max(1, whole)


def without_single_steps(schedulers, epoch_length: int):
    """Leave out warm-ups that have no more than one step.

    MMEngine's schedulers multiply the rate by the start factor in the first
    step and restore it in the later ones, so such a warm-up would keep the
    rate of its start for the whole training.

    Args:
        schedulers: ``param_scheduler`` of a config.
        epoch_length: Iterations per epoch.

    Returns:
        The schedulers, without these.
    """
    if isinstance(schedulers, list | tuple):
        return [s for s in schedulers if not is_single_step(s, epoch_length)]
    if isinstance(schedulers, dict) and 'type' not in schedulers:
        return {
            key: without_single_steps(value, epoch_length)
            for key, value in schedulers.items()
        }
    return schedulers


def is_single_step(part: dict, epoch_length: int) -> bool:
    """Whether a part is a warm-up of no more than one step."""
    if not isinstance(part, dict) or not is_warmup(part):
        return False
    converted = part.get('convert_to_iter_based', False)
    return int(part['end'] * (epoch_length if converted else 1)) < 2


def set_warmup(cfg: dict, warmup: int | float):
    """Set the end of the warm-up, in epochs."""
    epochs = cfg['train_cfg']['max_epochs']
    if warmup >= epochs:
        raise UserError(
            f'warmup_epochs is {warmup} but the training has {epochs} '
            'epochs; give fewer than those'
        )
    for parts in scheduler_lists(cfg):
        part = next((p for p in parts if is_warmup(p)), None)
        if part is None:
            if warmup:
                raise UserError(
                    f'warmup_epochs is {warmup} but param_scheduler has no '
                    'warm-up, a LinearLR with begin=0 and an end; add one, '
                    'or leave out warmup_epochs'
                )
            continue
        by_epoch, old = part.get('by_epoch', True), part['end']
        for other in parts:
            follows = other.get('by_epoch', True) == by_epoch
            if other is not part and follows and other.get('begin') == old:
                other['begin'] = warmup
                if 'T_max' in other:
                    other['T_max'] += old - warmup
        if not warmup:
            parts.remove(part)
        elif not by_epoch or warmup != old:
            part.update(by_epoch=True, convert_to_iter_based=True, end=warmup)


def is_warmup(part: dict) -> bool:
    """Whether a part of the schedule is a warm-up."""
    named = type_name(part).startswith(WARMUPS)
    first = part.get('start_factor', part.get('factor', 1 / 3))
    rises = first < part.get('end_factor', 1)
    ends = part.get('end', math.inf) < math.inf
    return named and rises and ends and not part.get('begin', 0)


def scheduler_lists(cfg: dict) -> Iterator[list[dict]]:
    """Yield the lists of schedulers, one per optimizer."""
    schedulers = cfg.get('param_scheduler')
    if isinstance(schedulers, list):
        yield schedulers
    elif schedulers and 'type' not in schedulers:
        for key in schedulers:
            yield from scheduler_lists(dict(param_scheduler=schedulers[key]))
    elif schedulers:
        yield [schedulers]
