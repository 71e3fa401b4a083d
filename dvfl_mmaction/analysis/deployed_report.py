"""The comparison of deployed forms as Markdown and as a picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .benchmark import MIB
from .benchmark_report import format_mib, format_ratio
from .deployed_models import RELEASED
from .tables import align


def markdown(results: dict) -> str:
    """Describe the machine; then tabulate a row per form.

    Args:
        results: Of :func:`.deployed_benchmark.run_deployed_benchmark`.

    Returns:
        One table of what takes clips, and one of what takes frames.
    """
    parts = [describe_run(results)]
    for unit, table in (('clip', clip_table), ('frame', frame_table)):
        rows = [r for r in results['rows'] if r.get('unit') == unit]
        if rows:
            parts.append(table(rows, results))
    return '\n\n'.join(parts)


def describe_run(results: dict) -> str:
    """Processor, versions, and what the columns mean."""
    machine = results['machine']
    sets = ', '.join(machine['instruction_sets']) or 'unknown'
    runtimes = ''.join(f', {k} {v}' for k, v in machine['runtimes'].items())
    text = (
        f'{machine["processor"]}, {machine["cores"]} cores, instruction sets '
        f'{sets}; torch {machine["torch"]}{runtimes}. Batches of one; '
        f'{results["rounds"]} passes per form in turns; model time only, from '
        'uint8 frames to probabilities. The speed-up over the released '
        'formulation is the median of paired passes with its quartiles, of '
        'processor time at one thread, of wall time at more. Memory is above '
        'that of the libraries, one thread, in a process of its own: to the '
        'first answer / of later ones.'
    )
    if reading := results['reading']:
        text += (
            f' Reading a clip takes {reading["median_ms"]:.1f} ms (p95 '
            f'{reading["p95_ms"]:.1f}; {reading["clips"]} reads).'
        )
    answers = [r['answers'] for r in results['rows'] if 'answers' in r]
    if answers:
        text += (
            f' Accuracy and agreement are on {answers[0]["clips"]} clips; '
            'agreement is with the first row, with the clips lost and gained.'
        )
        if broken := max(found.get('broken', 0) for found in answers):
            text += (
                f' Up to {broken} of them cannot be read or have NaN scores: '
                'they count as wrong, and are left out of the agreement if '
                'both forms fail.'
            )
    for row in results['rows']:
        if source := row.get('exported_from'):
            text += (
                f' {row["name"]} was exported from {source}, whose hash is '
                'not that of the checkpoint of the first row: its answers may '
                'be those of another model.'
            )
    return text


def clip_table(rows: list[dict], results: dict) -> str:
    """The table of forms that take a clip."""
    counts = list(rows[0]['threads'])
    header = ['form']
    accurate = any('answers' in row for row in rows)
    if accurate:
        header += ['top-1 (95 %)', 'agreement']
    for n in counts:
        header += [f'{threads_of(n)}: ms (p95)', 'speed-up']
    header += ['memory, MiB', 'file, MiB']
    lines = [tuple(header)]
    for row in rows:
        cells = [row['name']]
        if accurate:
            cells += format_answers(row.get('answers'))
        for n in counts:
            cells += format_times(row['threads'][n])
        lines.append((*cells, *format_sizes(row)))
    return align(lines)


def frame_table(rows: list[dict], results: dict) -> str:
    """The table of streaming files, which answer after every frame.

    The released formulation in a sliding window gives an answer per pass.
    """
    counts = list(rows[0]['threads'])
    released = [r for r in results['rows'] if r['kind'] == RELEASED]
    header = ['form', 'top-1 (95 %)']
    for n in counts:
        header += [f'{threads_of(n)}: ms (p95)', 'answers/s', 'ratio']
    lines = [(*header, 'memory, MiB', 'file, MiB')]
    for row in rows + released:
        answers = format_answers(row.get('answers'))
        cells = [row['name'], answers[0]]
        if row in released:
            cells[0] += ', sliding window'
        for n in counts:
            times, speed_up = format_times(row['threads'][n])
            rate = f'{row["threads"][n]["answers_per_s"]:.1f}'
            cells += [times, rate, speed_up]
        lines.append((*cells, *format_sizes(row)))
    return (
        'Frame by frame: an answer after every frame. The ratio is that of '
        'the answers per second to those of the released formulation in a '
        'window that slides by a frame.\n\n' + align(lines)
    )


def threads_of(number: str) -> str:
    return '1 thread' if number == '1' else f'{number} threads'


def format_times(found: dict) -> list[str]:
    return [
        f'{found["latency_ms"]:.1f} ({found["latency_p95_ms"]:.1f})',
        format_ratio(found.get('speed_up')),
    ]


def format_sizes(row: dict) -> tuple[str, str]:
    memory = row.get('memory') or {}
    return (
        f'{format_mib(memory.get("loading_bytes"))} / '
        f'{format_mib(memory.get("running_bytes"))}',
        f'{row["file_bytes"] / MIB:.1f}',
    )


def format_answers(answers: dict | None) -> list[str]:
    """Accuracy and agreement."""
    cells = ['-', '-']
    if answers and 'top1' in answers:
        low, high = answers['interval']
        cells[0] = (
            f'{100 * answers["top1"]:.1f} % ({100 * low:.1f} to '
            f'{100 * high:.1f})'
        )
    if answers and 'agreement' in answers:
        cells[1] = f'{100 * answers["agreement"]:.1f} %'
        if 'lost' in answers:
            cells[1] += f' (-{answers["lost"]} +{answers["gained"]})'
    return cells


def draw(results: dict, path: Path):
    """Draw latency, memory and file size of every form, to a PNG file."""
    rows = results['rows'][::-1]
    figure = Figure(figsize=(12, 1.6 + 0.5 * len(rows)), layout='constrained')
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, sharey=True)
    places = range(len(rows))
    counts = list(rows[0]['threads'])
    height = 0.8 / len(counts)
    for i, n in enumerate(counts):
        values = [row['threads'][n]['latency_ms'] for row in rows]
        at = [p + (len(counts) / 2 - i - 0.5) * height for p in places]
        left.barh(at, values, height, label=threads_of(n))
        for place, value in zip(at, values, strict=True):
            left.text(value, place, f' {value:.1f}', va='center', fontsize=8)
    left.set_xlabel('median of a pass (clip or frame), ms')
    left.legend(
        loc='lower left', bbox_to_anchor=(0, 1), ncols=3, frameon=False
    )
    memory = [
        ((row.get('memory') or {}).get('running_bytes') or 0) / MIB
        for row in rows
    ]
    sizes = [row['file_bytes'] / MIB for row in rows]
    for axes, values, label, digits in (
        (middle, memory, 'memory to run, MiB', 0),
        (right, sizes, 'file, MiB', 1),
    ):
        axes.barh(places, values, 0.6, color='tab:green')
        for place, value in zip(places, values, strict=True):
            text = f' {value:.{digits}f}' if value else ' not measured'
            axes.text(value, place, text, va='center', fontsize=8)
        axes.set_xlabel(label)
    for axes in (left, middle, right):
        axes.margins(x=0.2)
        axes.set_xlim(left=0)
    # Names of files may have dollar signs.
    labels = [label_of(row) for row in rows]
    left.set_yticks(list(places), labels, parse_math=False)
    figure.suptitle(results['machine']['processor'], parse_math=False)
    figure.savefig(path, dpi=110)


def label_of(row: dict) -> str:
    """Name of a form in the picture, with its accuracy."""
    answers = row.get('answers') or {}
    if 'top1' not in answers:
        return row['name']
    return f'{row["name"]}\n{100 * answers["top1"]:.1f} %'
