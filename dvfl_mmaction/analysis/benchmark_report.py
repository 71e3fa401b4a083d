"""Write the results of a benchmark as a Markdown table and a figure."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .benchmark import MIB
from .tables import align

# Published in DVFL-Net, Table XIV (batch 8, 8 frames) and Fig. 11 (UCF101):
# GMACs, minutes per epoch, MB of memory. Not measured here.
PUBLISHED = {
    'Video-FocalNet-T': (63, 2.63, 10238),
    'Video-FocalNet-S': (124, 2.87, 15767),
    'Video-FocalNet-B': (220, 2.89, 21950),
    'DVFL-Net, teacher online': (27, 2.49, 5600),
}
HEADER = (
    'model',
    'parameters',
    'GMACs',
    'latency, ms (p95)',
    'clips/s in testing',
    'step, ms',
    'clips/s in training',
    'busy: test / train',
    'UCF101 epoch, min',
    'peak memory, MiB: test / train',
    'paper: GMACs, min, MB',
)


COMPARISON_HEADER = (
    'released / ours',
    'step (quartiles)',
    'forward pass (quartiles)',
    'peak memory: test / train',
)


def markdown(results: dict) -> str:
    """Describe the machine in one line; then tabulate one row per model.

    A second table has the ratios of models that were compared with the
    formulation of the released code.
    """
    machine = results['machine']
    where = machine.get('gpu') or machine['processor']
    rows = [HEADER]
    for model in results['models']:
        rows.append(
            (
                label(model),
                f'{model["parameters"] / 1e6:.1f} M',
                f'{model["macs"] / 1e9:.1f}',
                f'{model["latency_ms"]:.0f} ({model["latency_p95_ms"]:.0f})',
                f'{model["clips_per_s"]:.2f}',
                format_number(model.get('step_ms'), 0),
                format_number(model.get('step_clips_per_s'), 2),
                f'{format_share(model["forward_busy"])} / '
                f'{format_share(model["step_busy"])}',
                format_number(model.get('ucf101_epoch_min'), 1),
                f'{format_mib(model["inference_bytes"])} / '
                f'{format_mib(model["training_bytes"])}',
                '-' if model['released'] else format_published(model['name']),
            )
        )
    text = (
        f'{where}, {machine["device"]}, threads: {machine["threads"]}, '
        f'torch {machine["torch"]}, {results["amp"] or "float32"}. Forward '
        f'pass of 1 clip, training step of {results["batch_size"]}; medians, '
        'models measured in turns. Busy is the share of the time in which '
        'the device computes. The epoch is the time per clip of a step times '
        "9,537 clips, reading excluded. The last column is the paper's, from "
        'its own machine.\n\n' + align(rows)
    )
    rows = [COMPARISON_HEADER]
    for found in results['comparisons']:
        rows.append(
            (
                found['name'],
                format_ratio(found['step']),
                format_ratio(found['forward']),
                f'{format_number(found["inference_bytes"], 2)} / '
                f'{format_number(found["training_bytes"], 2)}',
            )
        )
    return f'{text}\n\n{align(rows)}' if len(rows) > 1 else text


def label(model: dict) -> str:
    """Name of a model in the table and the figure."""
    return model['name'] + (', released' if model['released'] else '')


def format_ratio(found: dict | None) -> str:
    if found is None:
        return '-'
    low, high = found['quartiles']
    return f'{found["median"]:.2f} ({low:.2f} to {high:.2f})'


def format_share(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.0f} %'


def format_number(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


def format_mib(value: int | None) -> str:
    return '-' if value is None else f'{value / MIB:.0f}'


def format_published(name: str) -> str:
    if name not in PUBLISHED:
        return '-'
    macs, minutes, memory = PUBLISHED[name]
    return f'{macs}, {minutes}, {memory:,}'


def draw(results: dict, path: Path):
    """Draw latency and step time of every model as bars, to a PNG file."""
    models = results['models'][::-1]
    names = [label(m) for m in models]
    figure = Figure(
        figsize=(11, 1.5 + 0.45 * len(models)), layout='constrained'
    )
    FigureCanvasAgg(figure)
    panels = [('latency_ms', 'forward pass of 1 clip, ms', 'latency_p95_ms')]
    if any('step_ms' in m for m in models):
        panels.append(
            (
                'step_ms',
                f'training step of {results["batch_size"]} clips, ms',
                None,
            )
        )
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (key, title, tail) in zip(all_axes, panels, strict=True):
        values = [m.get(key, 0) for m in models]
        axes.barh(names, values, color='tab:blue')
        for row, value in enumerate(values):  # a column at the right edge
            axes.text(
                0.99,
                row,
                f'{value:,.0f}',
                transform=axes.get_yaxis_transform(),
                ha='right',
                va='center',
            )
        if tail:
            axes.plot(
                [m[tail] for m in models],
                names,
                '|',
                color='black',
                label='95th percentile',
            )
            axes.legend(loc='upper center')
        axes.set_xlabel(title)
        axes.margins(x=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    machine = results['machine']
    where = machine.get('gpu') or machine['processor']
    figure.suptitle(f'{where}, threads: {machine["threads"]}')
    figure.savefig(path, dpi=110)
