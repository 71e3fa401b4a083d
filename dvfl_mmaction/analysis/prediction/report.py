"""Predictions as a table, JSON and CSV, and their accuracy."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from ...evaluation.classification import are_numbers, rank_of_label
from ...files import write_json, write_whole
from ..text import printable, shorten
from .bars import RIGHT, WRONG, is_right, top_classes
from .clips import Clip
from .predictor import Predictor

SHOWN_CLIPS = 20  # in the terminal


@dataclass
class Result:
    """A clip and its prediction.

    Attributes:
        clip: The clip.
        scores: Probabilities of the classes, (K,); None if it is broken.
        error: Why it cannot be read; None if it can.
    """

    clip: Clip
    scores: np.ndarray | None = None
    error: str | None = None


def broken_of(results: Sequence[Result]) -> list[Result]:
    """The clips that cannot be read."""
    return [result for result in results if result.scores is None]


def accuracy(results: Sequence[Result]) -> dict | None:
    """Top-1 and top-5 accuracy of the labelled clips; None without labels.

    As in ``ClipMetric``, a broken clip counts as wrong, one with NaN scores
    too, and among equal scores the label ranks last.

    Returns:
        ``clips``, ``broken``, and ``top1`` and ``top5`` in [0, 1].
    """
    labelled = [r for r in results if r.clip.label is not None]
    if not labelled:
        return None
    read = [r for r in labelled if r.scores is not None]
    ranks = np.zeros(0)
    if read:
        scores = np.stack([r.scores for r in read])
        labels = np.array([r.clip.label for r in read])
        ranks = rank_of_label(scores, labels)[are_numbers(scores)]
    return dict(
        clips=len(labelled),
        broken=len(labelled) - len(read),
        **{
            f'top{k}': float(np.sum(ranks < k)) / len(labelled) for k in (1, 5)
        },
    )


def accuracy_line(results: Sequence[Result]) -> str | None:
    """The accuracy in one line; None without labels."""
    found = accuracy(results)
    if found is None:
        return None
    line = (
        f'top-1 {100 * found["top1"]:.1f} %, top-5 {100 * found["top5"]:.1f} '
        f'% of {found["clips"]} labelled clips'
    )
    if found['broken']:
        line += f'; {found["broken"]} broken, counted as wrong'
    return line


def table_of(
    results: Sequence[Result],
    predictor: Predictor,
    top: int,
    width: int = 80,
) -> Table:
    """A table for the terminal, of the first 20 clips that can be read.

    Args:
        results: All results.
        predictor: Names the classes.
        top: Classes per clip.
        width: Columns of the terminal; longer names are cut.
    """
    table = Table(box=None, pad_edge=False, header_style='bold')
    table.add_column('clip', no_wrap=True)
    has_labels = any(r.clip.label is not None for r in results)
    if has_labels:
        table.add_column('label', no_wrap=True)
    table.add_column('class', no_wrap=True)
    table.add_column('probability', no_wrap=True, justify='right')
    room = (width - len('probability') - 6) // (3 if has_labels else 2)
    shown = [r for r in results if r.scores is not None][:SHOWN_CLIPS]
    for result in shown:
        for place, index in enumerate(top_classes(result.scores, top)):
            clip = label = ''
            if not place:
                clip = shorten(result.clip.name, room, keep_end=True)
                label = label_cell(result, predictor)
            name = printable(predictor.name_of(index))
            row = [clip, *([label] if has_labels else []), name]
            row[1:] = [shorten(cell, room) for cell in row[1:]]
            row.append(f'{100 * result.scores[index]:.1f} %')
            # Text, since names may look like rich's markup.
            table.add_row(*map(Text, row))
    return table


def label_cell(result: Result, predictor: Predictor) -> str:
    """Name of a clip's label, and whether it was predicted."""
    label = result.clip.label
    if label is None:
        return ''
    sign = RIGHT if is_right(result.scores, label) else WRONG
    return f'{sign} {printable(predictor.name_of(label))}'


def write_results_json(
    path: Path, results: Sequence[Result], predictor: Predictor, top: int
):
    """Write the predictions, the broken clips and the accuracy."""
    clips = []
    for result in results:
        if result.scores is None:
            continue
        entry = dict(clip=result.clip.name)
        if result.clip.label is not None:
            entry['label'] = result.clip.label
            entry['label_name'] = predictor.name_of(result.clip.label)
        entry['predictions'] = [
            {
                'class': index,
                'name': predictor.name_of(index),
                'probability': rounded(result.scores[index]),
            }
            for index in top_classes(result.scores, top)
        ]
        clips.append(entry)
    broken = [
        dict(clip=r.clip.name, reason=r.error) for r in broken_of(results)
    ]
    write_json(
        path,
        dict(
            checkpoint_sha256=predictor.settings['checkpoint'],
            num_classes=predictor.num_classes,
            accuracy=accuracy(results),
            clips=clips,
            broken=broken,
        ),
    )


def write_results_csv(
    path: Path, results: Sequence[Result], predictor: Predictor, top: int
):
    """Write a row per clip: name, label, classes, and why it is broken."""
    top = min(top, predictor.num_classes)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    columns = [
        f'{name}_{place}'
        for place in range(1, top + 1)
        for name in ('class', 'name', 'probability')
    ]
    writer.writerow(['clip', 'label', *columns, 'error'])
    for result in results:
        label = '' if result.clip.label is None else result.clip.label
        cells = [''] * len(columns)
        if result.scores is not None:
            cells = []
            for index in top_classes(result.scores, top):
                cells += [index, predictor.name_of(index)]
                cells.append(rounded(result.scores[index]))
        writer.writerow([result.clip.name, label, *cells, result.error or ''])
    write_whole(path, text.getvalue())


def rounded(score: float) -> float:
    """A score with the digits that float32 has."""
    return float(f'{score:.7g}')
