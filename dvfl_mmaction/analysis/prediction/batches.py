"""Predict clips in batches that worker processes read."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from mmengine.dataset import Compose
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...datasets.clip_dataset import READ_ERRORS
from ...errors import UserError
from .clips import Clip
from .predictor import Predictor


@dataclass
class Prediction:
    """The outcome of one clip.

    Attributes:
        index: Position of the clip.
        scores: Probabilities of the classes, (K,) float32; None if the clip
            cannot be read.
        error: Why it cannot be read, one line; None if it can.
        inputs: What the pipeline made of the clip, as the model gets it.
    """

    index: int
    scores: np.ndarray | None = None
    error: str | None = None
    inputs: Tensor | None = None


class ClipReader(Dataset):
    """The clips through the pipeline of a predictor.

    A sample is (index, data, error); one of ``data`` and ``error`` is None.
    """

    def __init__(self, clips: Sequence[Clip], predictor: Predictor):
        self.clips = clips
        self.modality = predictor.modality
        self.pipeline = Compose(predictor.pipeline)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[int, dict | None, str | None]:
        # The keys that MMAction2's VideoDataset gives to a pipeline.
        info = dict(
            filename=os.fspath(self.clips[index].path),
            label=-1,
            modality=self.modality,
            start_index=0,
        )
        try:
            return index, self.pipeline(info), None
        except READ_ERRORS as error:
            reason = ' '.join(str(error).split())
            return index, None, reason or type(error).__name__


def predict_clips(
    clips: Sequence[Clip],
    predictor: Predictor,
    batch_size: int = 8,
    workers: int = 0,
) -> Iterator[Prediction]:
    """Yield the predictions of clips, in order.

    Closing the iterator stops the workers.

    Args:
        clips: The clips.
        predictor: The model and its pipeline.
        batch_size: Most clips per forward pass.
        workers: Processes that read clips; 0 reads them here.

    Raises:
        UserError: If a worker ends, for lack of memory or by a fault of a
            decoder.
    """
    loader = DataLoader(
        ClipReader(clips, predictor),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=ignore_interrupts,
    )
    try:
        for samples in loader:
            yield from predict_samples(samples, predictor)
    except RuntimeError as error:
        if 'DataLoader worker' not in str(error):
            raise
        raise UserError(
            'a process that reads clips ended '
            f'({" ".join(str(error).split())}); lower --workers if memory '
            'ran out, else check the clips with tools/prepare_dataset.py '
            '--check'
        ) from error


def predict_samples(
    samples: list[tuple], predictor: Predictor
) -> Iterator[Prediction]:
    """Yield the predictions of the samples of :class:`ClipReader`.

    Samples of different shapes are not padded to one batch, which would
    change their scores.
    """

    def shape_of(sample: tuple) -> tuple:
        data = sample[1]
        return () if data is None else tuple(data['inputs'].shape)

    for shape, group in groupby(samples, shape_of):
        group = list(group)
        if not shape:
            for index, _, error in group:
                yield Prediction(index, error=error)
            continue
        scores = predictor.score([data for _, data, _ in group])
        for (index, data, _), row in zip(group, scores, strict=True):
            yield Prediction(index, row.numpy(), inputs=data['inputs'])


def ignore_interrupts(worker: int):
    """Leave Ctrl-C to the main process, which ends the workers.

    A worker that hands over a clip at that moment loses its connection,
    which its thread would report with a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    previous = sys.excepthook

    def report(kind, error, traceback):
        if not issubclass(kind, ConnectionError | EOFError):
            previous(kind, error, traceback)

    sys.excepthook = report
