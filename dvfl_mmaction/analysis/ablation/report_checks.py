"""Check before the runs what the report asks for after them."""

from collections.abc import Sequence

from ...errors import UserError, suggestion
from .settings import setting_name


def check_report(
    entries: Sequence[dict], pool: str | None, compared: Sequence[str]
):
    """Refuse an axis or a setting that no run has.

    A number of the table is not checked: its order is that of the results.

    Args:
        entries: Of the results, or of the runs to do.
        pool: Axis whose runs are joined.
        compared: Names of settings, or parts of them.

    Raises:
        UserError: With the likely name.
    """
    axes = sorted({name for entry in entries for name in entry['labels']})
    if pool and pool not in axes:
        raise UserError(
            f'--pool {pool}: no run has this axis; the axes are '
            f'{", ".join(axes) or "none"}'
        )
    names = sorted({name_in_table(entry, pool) for entry in entries})
    for name in compared:
        if name.isdecimal() or any(name in known for known in names):
            continue
        raise UserError(
            f'--compare {name!r}: no setting has this in its name'
            + suggestion(name, names, '; --dry-run lists the runs')
        )


def name_in_table(entry: dict, pool: str | None) -> str:
    """Name of a run's setting, without the axis that is joined."""
    if pool not in entry['labels']:
        return entry['name']
    labels = {k: v for k, v in entry['labels'].items() if k != pool}
    return setting_name(entry['config'], labels)
