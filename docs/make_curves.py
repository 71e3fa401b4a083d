"""Draw the curves of trainings from their TensorBoard event files.

Run, for example,
``python docs/make_curves.py alone=runs/alone distilled=runs/kd``
after trainings with ``tensorboard=True`` to write
docs/pictures/demo_curves.png anew.
"""

import argparse
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

TARGET = Path(__file__).parent / 'pictures' / 'demo_curves.png'
# Title, scalar and factor of each panel.
PANELS = (
    ('cross-entropy with the label (training)', 'loss_cls', 1),
    ('top-1 of the validation, %', 'acc/top1', 100),
    ('learning rate', 'lr', 1),
)
COLOURS = ('#b04400', '#1f68b2', '#3a7d34')  # as wide apart as hues can be


def read_scalar(folder: Path, name: str) -> dict[int, float]:
    """Values of a scalar by step, of all event files below a folder.

    A resumed run replaces the steps that it repeats.
    """
    values = {}
    for path in sorted(folder.rglob('events.out.tfevents.*')):
        events = EventAccumulator(str(path), dict(scalars=0))
        events.Reload()
        if name in events.Tags()['scalars']:
            values |= {e.step: e.value for e in events.Scalars(name)}
    if not values:
        raise SystemExit(
            f'error: no scalar {name} below {folder}; train with '
            '--cfg-options tensorboard=True'
        )
    return dict(sorted(values.items()))


def draw_curves(runs: dict[str, Path], weights: dict[str, float]) -> Figure:
    """Draw the panels.

    Args:
        runs: Name -> work folder.
        weights: Name -> factor of the cross-entropy in the run's loss, by
            which its logged value is divided.
    """
    figure = Figure(figsize=(10, 3.2), layout='constrained')
    FigureCanvasAgg(figure)
    panels = zip(figure.subplots(1, len(PANELS)), PANELS, strict=True)
    for axes, (title, scalar, factor) in panels:
        for (name, folder), colour in zip(runs.items(), COLOURS, strict=False):
            values = read_scalar(folder, scalar)
            scale = factor
            if scalar == 'loss_cls':
                scale /= weights.get(name, 1)
            steps = list(values)
            heights = [value * scale for value in values.values()]
            marker = 'o' if scalar == 'acc/top1' else ''
            axes.plot(
                steps, heights, label=name, color=colour, marker=marker, ms=4
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel('epoch' if scalar == 'acc/top1' else 'iteration')
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    figure.axes[0].legend(frameon=False)
    return figure


def parse_pairs(words: list[str]) -> dict[str, str]:
    return dict(word.split('=', 1) for word in words)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', nargs='+', metavar='NAME=FOLDER')
    parser.add_argument(
        '--weights',
        nargs='+',
        default=[],
        metavar='NAME=FACTOR',
        help='factor of the cross-entropy in the loss, such as 0.7 of a '
        'distillation with alpha 0.3',
    )
    args = parser.parse_args()
    runs = {name: Path(path) for name, path in parse_pairs(args.runs).items()}
    weights = {k: float(v) for k, v in parse_pairs(args.weights).items()}
    figure = draw_curves(runs, weights)
    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, dpi=90)
    # A palette, which is a third of the size.
    with Image.open(TARGET) as picture:
        small = picture.convert('RGB').quantize(dither=Image.Dither.NONE)
    small.save(TARGET, optimize=True)
    print(f'wrote {TARGET}')


if __name__ == '__main__':
    main()
