"""Read the clips of a config's lists for an exported file."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from ..analysis.prediction.batches import predict_clips
from ..analysis.prediction.clips import Clip, check_labels, known_label
from ..analysis.prediction.exported import (
    exported_predictor,
    frames_of_sample,
)
from ..datasets.annotations import read_annotations
from ..engine.config_checks import nested_datasets
from ..errors import UserError
from ..evaluation.classification import best_class
from ..preparation.clips.runner import show_progress
from .exported_model import ExportedModel


def find_listed_clips(cfg, part: str) -> list[Clip]:
    """Clips of a config's ``'train'``, ``'val'`` or ``'test'`` lists.

    With ``multi_class`` a clip has all of its labels.

    Raises:
        UserError: If the config has no such list, or one is unreadable.
    """
    loader = cfg.get(f'{part}_dataloader') or {}
    clips = []
    for dataset in nested_datasets(loader.get('dataset')):
        if 'ann_file' in dataset:
            root = dataset.get('data_root') or ''
            videos = (dataset.get('data_prefix') or {}).get('video') or ''
            several = bool(dataset.get('multi_class'))
            listed = read_annotations(
                os.path.join(root, dataset['ann_file']),
                dataset.get('delimiter', ' '),
                multi_class=several,
                unlabelled=not several,
            )
            folder = Path(root, videos)
            for name, label in listed.clips:
                label = tuple(label) if several else known_label(label)
                clips.append(Clip(folder / name, name, label))
    if not clips:
        raise UserError(
            f'the config has no {part}_dataloader with a list (ann_file); '
            'give one with --cfg-options'
        )
    return clips


def read_first_views(
    clips: Sequence[Clip], model: ExportedModel
) -> Iterator[np.ndarray]:
    """Yield the first view of each readable clip, (1, T, H, W, 3) uint8."""
    predictor = exported_predictor(model)

    def nothing(samples: list[dict]) -> torch.Tensor:
        return torch.zeros(len(samples), predictor.num_classes)

    predictor.score = nothing
    found = predict_clips(clips, predictor)
    with closing(show_progress(found, len(clips), 'read')) as found:
        for outcome in found:
            if outcome.error is None:
                # A part of a tensor would keep the other views in memory.
                first = outcome.inputs[:1].clone()
                yield frames_of_sample(dict(inputs=first))


def classify_correctly(
    clips: Sequence[Clip], model: ExportedModel, workers: int = 0
) -> np.ndarray:
    """Whether each labelled clip is classified correctly, (N,) booleans.

    A clip that cannot be read, or has NaN scores, is not.

    Raises:
        UserError: If a label is missing, or none that the model has.
    """
    for clip in clips:
        if clip.label is None:
            raise UserError(
                f'{clip.name} has no label; give a list with a line "path '
                'label" per clip'
            )
    check_labels(clips, len(model.classes))
    predictor = exported_predictor(model)
    found = predict_clips(clips, predictor, workers=workers)
    correct = np.zeros(len(clips), bool)
    title = f'test {model.path.name}'
    with closing(show_progress(found, len(clips), title)) as found:
        for outcome in found:
            if outcome.error is None:
                best = best_class(outcome.scores)
                correct[outcome.index] = best == clips[outcome.index].label
    return correct
