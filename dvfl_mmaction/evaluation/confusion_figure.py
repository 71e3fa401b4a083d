"""A confusion matrix as a figure, with its worst pairs of classes.

MMAction2's ``ConfusionMatrix.plot`` has a fixed size and a linear colour
scale: from 101 classes on its class names overlap, and confusions are hardly
visible next to the diagonal.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

MAX_NAMED = 120  # most classes with their names on the axes
MAX_NUMBERED = 20  # most classes with a number in each cell
SMALLEST_SHARE = 0.01  # smaller shares have the colour of this one
NAME_LENGTH = 48  # most characters of a name


def save_confusion_figure(path: Path, *args, **kwargs):
    """Save the figure of :func:`plot_confusion` as a PNG."""
    figure = plot_confusion(*args, **kwargs)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=100)


def plot_confusion(
    confusion,
    worst_pairs: Sequence[dict],
    class_names: Sequence[str] | None = None,
    title: str = '',
) -> Figure:
    """Plot a confusion matrix, each row divided by its sum.

    Args:
        confusion: (K, K) counts, label by prediction.
        worst_pairs: Pairs to mark and list, worst first; each has ``label``,
            ``predicted``, ``clips`` and ``share``.
        class_names: K names, which are cut to 48 characters; without them,
            or with another number, the labels.
        title: One line above the matrix.

    Returns:
        The figure. Its first axes show the matrix, its second ones list the
        pairs.
    """
    counts = np.asarray(confusion, float)
    num_classes = len(counts)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    if class_names is None or len(class_names) != num_classes:
        class_names = range(num_classes)
    # Longer names on the axes would leave no room for the matrix.
    names = [short_name(str(name)) for name in class_names]
    # The list of 10 pairs needs 7 inches.
    inches = min(max(4 + 0.22 * num_classes, 7), 24)
    figure = Figure(figsize=(inches + 6, inches), layout='constrained')
    axes, panel = figure.subplots(1, 2, width_ratios=(inches, 4.5))
    image = axes.imshow(
        np.where(shares > 0, shares, np.nan),
        norm=LogNorm(SMALLEST_SHARE, 1, clip=True),
        cmap='viridis_r',
        interpolation='nearest',
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.8, fraction=0.03)
    bar.set_ticks([0.01, 0.1, 1], labels=['1 % or less', '10 %', '100 %'])
    bar.set_label('share of the clips of the true class')
    axes.set_xlabel('predicted class')
    axes.set_ylabel('true class')
    as_is = dict(parse_math=False)  # names may have dollar signs
    axes.set_title(title, **as_is)
    if num_classes <= MAX_NAMED:
        text = dict(as_is, fontsize=9 if num_classes <= 40 else 7)
        axes.set_xticks(range(num_classes), names, rotation=90, **text)
        axes.set_yticks(range(num_classes), names, **text)
    if num_classes <= MAX_NUMBERED:
        write_shares(axes, shares)
    else:
        mark_pairs(axes, worst_pairs)
    panel.axis('off')
    lines = list_pairs(worst_pairs, names)
    panel.text(0, 1, lines, va='top', transform=panel.transAxes, **as_is)
    return figure


def list_pairs(worst_pairs: Sequence[dict], names: Sequence[str]) -> str:
    """List pairs of classes, one block of lines per pair."""
    blocks = [
        f'{number}.  {100 * pair["share"]:.1f} % ({pair["clips"]} clips)\n'
        f'      {names[pair["label"]]}\n   → {names[pair["predicted"]]}'
        for number, pair in enumerate(worst_pairs, 1)
    ]
    return '\n'.join(['Most confused (true → predicted)', *blocks])


def short_name(name: str) -> str:
    """Cut a name to NAME_LENGTH characters."""
    if len(name) <= NAME_LENGTH:
        return name
    return name[: NAME_LENGTH - 1] + '…'


def mark_pairs(axes: Axes, worst_pairs: Sequence[dict]):
    """Circle the cells of pairs and number them as in the list."""
    for number, pair in enumerate(worst_pairs, 1):
        cell = (pair['predicted'], pair['label'])
        axes.plot(*cell, 'o', ms=18, mfc='none', mec='red')
        axes.annotate(
            str(number),
            cell,
            xytext=(9, 6),
            textcoords='offset points',
            color='red',
        )


def write_shares(axes: Axes, shares: np.ndarray):
    """Write the percentage in each cell that is not empty."""
    for (row, column), share in np.ndenumerate(shares):
        if share:
            axes.text(
                column,
                row,
                f'{100 * share:.0f}',
                ha='center',
                va='center',
                fontsize=7,
                color='white' if share > 0.1 else 'black',
            )
