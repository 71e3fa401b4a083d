"""Figures of an ablation: accuracy against what varies, and against size."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..text import shorten
from .results import Group
from .settings import setting_name, value_text

MAX_LINES = 10  # lines of one panel
NAME_LENGTH = 90  # characters of a setting's name
DODGE = 0.5  # of the distance of two values, for points side by side
SPREAD = dict(capsize=4, elinewidth=1.2, markersize=6)
COLOURS = dict(distilled='tab:blue', alone='tab:gray', teacher='tab:orange')


def save_figures(groups: Sequence[Group], folder: Path) -> list[Path]:
    """Draw all figures that the results allow.

    One per axis that varies (the papers' Fig. 7 to 9: top-1 and top-5
    against alpha, temperature and epochs), ``settings.png`` (top-1 of every
    setting), ``parameters.png`` (Fig. 1: top-1 against parameters) and
    ``memory.png`` (Fig. 11).

    Args:
        groups: The settings.
        folder: Gets the PNG files.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context({'text.parse_math': False}):  # names may have dollars
        return draw_figures(groups, folder)


def draw_figures(groups: Sequence[Group], folder: Path) -> list[Path]:
    """See :func:`save_figures`."""
    figures = {}
    for name in sorted(varied_axes(groups)):
        figures[f'top1_by_{name}'] = plot_axis(groups, name)
    if len(groups) > 1:
        figures['settings'] = plot_settings(groups)
    if len({group.mean('parameters') for group in groups}) > 1:
        figures['parameters'] = plot_parameters(groups)
    if len([g for g in groups if g.mean('memory_mb')]) > 1:
        figures['memory'] = plot_memory(groups)
    paths = []
    for name, figure in figures.items():
        safe = re.sub(r'[^\w.-]+', '_', name)
        paths.append(folder / f'{safe}.png')
        FigureCanvasAgg(figure)
        figure.savefig(paths[-1], dpi=110)
    return paths


def plot_axis(groups: Sequence[Group], name: str) -> Figure:
    """Top-1 and top-5 against one axis, a line per other setting.

    Points are means over the seeds, bars their standard deviation. Values
    that are not numbers have even distances. Students alone and teachers
    without the axis are dashed lines.
    """
    lines, telling = defaultdict(list), telling_axes(groups) - {name}
    for group in groups:
        if name in group.labels:
            others = {k: v for k, v in group.labels.items() if k in telling}
            lines[setting_name(group.config, others)].append(group)
    values = {g.labels[name] for gs in lines.values() for g in gs}
    numeric = all(isinstance(v, int | float) for v in values)
    ordered = sorted(values) if numeric else sorted(values, key=str)
    at = {v: v if numeric else i for i, v in enumerate(ordered)}
    shown = sorted(lines.items(), key=lambda line: -best(line[1]))[:MAX_LINES]
    rows = len(shown) + len([g for g in groups if name not in g.labels])
    columns = 1 if max(map(len, lines)) > 60 else 2
    height = 4.5 + 0.22 * (rows // columns + 1)
    figure = Figure(figsize=(11, height), layout='constrained')
    panels = figure.subplots(1, 2)
    for axes, key, title in zip(
        panels, ('top1', 'top5'), ('top-1, %', 'top-5, %'), strict=True
    ):
        for number, (line, members) in enumerate(shown):
            shift = (number + 0.5) / len(shown) - 0.5
            shift *= 0 if numeric else DODGE
            members = sorted(members, key=lambda g: at[g.labels[name]])
            axes.errorbar(
                [at[g.labels[name]] + shift for g in members],
                [100 * g.mean(key) for g in members],
                [100 * g.spread(key) for g in members],
                fmt='o-' if numeric else 'o',
                label=shorten(line, NAME_LENGTH, len),
                **SPREAD,
            )
        for group in groups:
            if name not in group.labels and group.kind != 'distilled':
                axes.axhline(
                    100 * group.mean(key),
                    ls='--' if group.kind == 'alone' else ':',
                    color='black',
                    label=shorten(group.name, NAME_LENGTH, len),
                )
        axes.set_xlabel(name)
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        axes.margins(x=0.12, y=0.12)
        if not numeric or len(ordered) <= 8:
            names = [value_text(value) for value in ordered]
            axes.set_xticks([at[value] for value in ordered], names)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc='outside lower center', ncols=columns)
    figure.suptitle(f'{seeds_of(groups)}: mean and standard deviation')
    return figure


def varied_axes(groups: Sequence[Group]) -> set[str]:
    """Names of the axes that have several values."""
    values = defaultdict(set)
    for group in groups:
        for key, value in group.labels.items():
            values[key].add(value)
    return {key for key, found in values.items() if len(found) > 1}


def telling_axes(groups: Sequence[Group]) -> set[str]:
    """Names of the axes that tell settings of one kind apart.

    These are the varied ones, and those that only some of the distilled
    students, say, have.
    """
    values = defaultdict(set)
    names = {key for group in groups for key in group.labels}
    for group in groups:
        for key in names:
            values[group.kind, key].add(group.labels.get(key))
    return {key for (_, key), found in values.items() if len(found) > 1}


def short_name(group: Group, telling: set[str]) -> str:
    """The name without the labels that all settings share."""
    if group.name != setting_name(group.config, group.labels):
        return shorten(group.name, NAME_LENGTH, len)  # such as a teacher
    kept = {k: v for k, v in group.labels.items() if k in telling}
    return shorten(setting_name(group.config, kept), NAME_LENGTH, len)


def best(groups: Sequence[Group]) -> float:
    """The best mean top-1."""
    return max(group.mean('top1') for group in groups)


def seeds_of(groups: Sequence[Group]) -> str:
    """How many seeds the settings have."""
    counts = {len(g.runs) for g in groups if g.kind != 'teacher'} or {1}
    least, most = min(counts), max(counts)
    text = str(most) if least == most else f'{least} to {most}'
    return f'{text} seed{"s" if most > 1 else ""} per setting'


def plot_settings(groups: Sequence[Group]) -> Figure:
    """Top-1 of every setting, the best first, as points with spread."""
    return plot_rows(
        groups,
        'top1',
        f'top-1, % ({seeds_of(groups)}: mean and standard deviation)',
        100,
    )


def plot_memory(groups: Sequence[Group]) -> Figure:
    """Peak memory of every training, as bars."""
    groups = [group for group in groups if group.mean('memory_mb')]
    kinds = {run['memory_of'] for group in groups for run in group.runs}
    of = {'GPU': 'GPU memory', 'process': 'memory of the process'}
    what = ' or '.join(sorted(of[kind] for kind in kinds))
    return plot_rows(groups, 'memory_mb', f'peak {what} in training, MB', 1)


def plot_rows(
    groups: Sequence[Group], key: str, title: str, factor: float
) -> Figure:
    """A row per setting, coloured by its kind."""
    rows = groups[::-1]
    figure = Figure(figsize=(12, 1.6 + 0.4 * len(rows)), layout='constrained')
    axes = figure.subplots()
    for row, group in enumerate(rows):
        mean, spread = factor * group.mean(key), factor * group.spread(key)
        colour = COLOURS[group.kind]
        if key == 'memory_mb':
            axes.barh(row, mean, xerr=spread or None, color=colour, capsize=4)
            axes.annotate(
                f'{mean:,.0f}',
                (mean + spread, row),
                xytext=(8, 0),
                textcoords='offset points',
                va='center',
            )
            continue
        axes.errorbar(mean, row, xerr=spread, fmt='o', color=colour, **SPREAD)
        axes.text(
            1.01,
            row,
            percent_text(mean, spread),
            va='center',
            transform=axes.get_yaxis_transform(),
        )
    names = [short_name(group, telling_axes(groups)) for group in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(title)
    axes.grid(axis='x', alpha=0.3)
    axes.margins(x=0.12)
    label_kinds(axes, groups)
    return figure


def percent_text(mean: float, spread: float) -> str:
    """A mean and its spread."""
    return f'{mean:.1f}' + (f' ± {spread:.1f}' if spread else '')


def plot_parameters(groups: Sequence[Group]) -> Figure:
    """Top-1 against the parameters of the tested model."""
    figure = Figure(figsize=(8, 5.2), layout='constrained')
    axes = figure.subplots()
    for group in groups:
        axes.errorbar(
            group.mean('parameters') / 1e6,
            100 * group.mean('top1'),
            100 * group.spread('top1'),
            fmt='o',
            color=COLOURS[group.kind],
            **SPREAD,
        )
    # Of each size, the best of each kind is named.
    named = {}
    for group in sorted(groups, key=lambda group: group.mean('top1')):
        named[group.mean('parameters'), group.kind] = group
    sizes = [group.mean('parameters') for group in groups]
    middle = (min(sizes) * max(sizes)) ** 0.5
    for group in named.values():
        left = group.mean('parameters') > middle
        axes.annotate(
            short_name(group, telling_axes(groups)),
            (group.mean('parameters') / 1e6, 100 * group.mean('top1')),
            xytext=(-9 if left else 9, 0),
            textcoords='offset points',
            ha='right' if left else 'left',
            va='center',
            fontsize=8,
        )
    axes.set_xscale('log')
    ticks = sorted({size / 1e6 for size in sizes})
    axes.set_xticks(ticks, [f'{tick:.3g}' for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel('parameters, millions')
    axes.set_ylabel('top-1, %')
    axes.grid(alpha=0.3, which='both')
    axes.margins(x=0.15, y=0.12)
    label_kinds(axes, groups)
    return figure


def label_kinds(axes: Axes, groups: Sequence[Group]):
    """A legend of the colours, where there are several kinds."""
    kinds = [k for k in COLOURS if any(g.kind == k for g in groups)]
    if len(kinds) > 1:
        for kind in kinds:
            axes.plot([], [], 'o', color=COLOURS[kind], label=kind)
        axes.figure.legend(loc='outside upper center', ncols=len(kinds))
