"""A confusion matrix as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MOST_NAMES = 120  # classes that still get their names on the axes
MOST_NUMBERS = 20  # classes whose cells get their share as a number


def draw_confusion(
    confusion, path: Path, class_names=None, title: str = ''
) -> None:
    """Draw rows of a confusion matrix as shares of the row, to a PNG.

    Args:
        confusion: (K, K) counts, label by prediction.
        path: Where the PNG goes.
        class_names: K names; without them the labels' numbers are shown.
        title: One line above.
    """
    counts = np.asarray(confusion, float)
    num_classes = len(counts)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    inches = min(4 + 0.22 * num_classes, 24)
    figure = Figure(figsize=(inches + 1, inches), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap='Blues')
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label('share of the clips of the true class')
    axes.set_xlabel('predicted class')
    axes.set_ylabel('true class')
    axes.set_title(title)
    if num_classes <= MOST_NAMES:
        names = class_names or range(num_classes)
        places = range(num_classes)
        size = 9 if num_classes <= 40 else 7
        axes.set_xticks(places, names, rotation=90, fontsize=size)
        axes.set_yticks(places, names, fontsize=size)
    if num_classes <= MOST_NUMBERS:
        write_shares(axes, shares)
    figure.savefig(path, dpi=100)


def write_shares(axes, shares: np.ndarray):
    """The share in percent in each cell that is not empty."""
    for (row, column), share in np.ndenumerate(shares):
        if share:
            axes.text(
                column,
                row,
                f'{100 * share:.0f}',
                ha='center',
                va='center',
                fontsize=7,
                color='white' if share > 0.5 else 'black',
            )
