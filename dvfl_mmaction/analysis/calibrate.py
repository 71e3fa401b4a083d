"""Scale the last layer of a checkpoint so that its probabilities fit."""

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from ..checkpoints.convert_file import check_paths
from ..checkpoints.safe_loading import load_checkpoint_file
from ..checkpoints.writing import write_checkpoint
from ..deployment.listed_clips import find_listed_clips
from ..distillation.binary_divergence import has_several_labels
from ..errors import UserError
from ..evaluation.classification import NUM_BINS, calibration, rank_of_label
from ..evaluation.temperature import (
    cross_fitted,
    fit_temperature,
    log_probabilities,
)
from ..files import hash_file
from ..preparation.clips.runner import show_progress
from ..version import __version__
from .prediction.batches import predict_clips
from .prediction.clips import Clip, check_labels, find_clips
from .prediction.predictor import (
    LoadedRecognizer,
    load_recognizer,
    make_predictor,
    predicted_scores,
)

FEWEST = 20  # clips
SUFFIXES = ('.pth', '.pt', '.safetensors')
LAST_LAYER = 'cls_head.fc_cls'
# Of a checkpoint, what belongs to the weights and not to a training.
KEPT = ('dataset_meta', 'epoch', 'converted_from', 'architecture')


@dataclass(frozen=True)
class Calibration:
    """Probabilities before and after.

    Attributes:
        temperature: That the logits are divided by, > 0.
        clips: Number of clips that determine it.
        broken: Clips of the list that could not be read.
        changed: Clips whose answer changes, as averages over views can.
        before: Measures with the weights as they are.
        after: Those at temperatures found on the other half of the clips.
    """

    temperature: float
    clips: int
    broken: int
    changed: int
    before: 'Measures'
    after: 'Measures'

    def __str__(self) -> str:
        before, after = self.before, self.after
        return (
            f'temperature {self.temperature:.3f} from {self.clips} clips'
            + (f' ({self.broken} more are broken)' if self.broken else '')
            + f': mean probability of the answer {100 * before.mean:.1f} -> '
            f'{100 * after.mean:.1f} % where {100 * before.top1:.1f} % are '
            f'right; ECE {100 * before.ece:.1f} -> {100 * after.ece:.1f} %; '
            f'negative log-likelihood {before.loss:.3f} -> {after.loss:.3f}'
            + (
                f'; {self.changed} answers change, since the probabilities of '
                f'several views are averaged: top-1 {100 * before.top1:.1f} '
                f'-> {100 * after.top1:.1f} %'
                if self.changed
                else ''
            )
        )


@dataclass(frozen=True)
class Measures:
    """Measures of probabilities.

    Attributes:
        mean: Mean probability of the answers, in [0, 1].
        top1: Share of right answers, in [0, 1].
        ece: Expected calibration error in 15 bins, in [0, 1].
        loss: Mean negative log-likelihood in nats.
    """

    mean: float
    top1: float
    ece: float
    loss: float


def calibrate_checkpoint(
    config: str,
    checkpoint: str,
    out: str,
    words: Sequence[str] = (),
    root: str | None = None,
    limit: int = 2000,
    device: str = 'cpu',
    workers: int = 0,
    options: dict | None = None,
) -> Calibration:
    """Write a checkpoint whose probabilities fit labelled clips.

    The weight and the bias of the last layer are divided by the temperature
    of :func:`.temperature.fit_temperature`, so every use of the checkpoint
    has the new probabilities. No answer changes with one view, nor where the
    logits of views are averaged; averages of probabilities may change some.

    Args:
        config: Config of a recognizer, or of a distillation.
        checkpoint: Its trained weights.
        out: The file to write; ``.safetensors`` selects that format.
        words: Lists of labelled clips; by default the validation list of
            the config.
        root: Folder of the paths in lists.
        limit: Most clips to use, drawn with a fixed seed, >= 20.
        device: Where the model runs.
        workers: Processes that read clips.
        options: Changes of the config, as ``--cfg-options``.

    Raises:
        UserError: If a file cannot be read or written, the model has
            several labels per clip or no last layer of the usual name, or
            the clips determine no temperature.
    """
    if Path(out).suffix not in SUFFIXES:
        raise UserError(
            f'{out} is no name of a checkpoint; give one that ends in '
            f'{", ".join(SUFFIXES)} (lists of clips follow --list)'
        )
    check_paths(checkpoint, out)
    loaded = load_recognizer(config, checkpoint, device, options)
    model = loaded.model
    if has_several_labels(model.cls_head):
        raise UserError(
            'the model predicts several labels per clip; a temperature '
            'belongs to probabilities of one label'
        )
    if not isinstance(getattr(model.cls_head, 'fc_cls', None), nn.Linear):
        raise UserError(
            f'{type(model.cls_head).__name__} has no linear layer '
            f'{LAST_LAYER}, which would be scaled; give a model with an '
            'I3DHead, EveryFrameHead, TSNHead or TSMHead'
        )
    clips = choose_clips(loaded, words, root, limit)
    logits, labels = compute_logits(loaded, clips, device, workers)
    temperature = fit_temperature(logits, labels)
    before = log_probabilities(logits, 1.0)
    scaled = log_probabilities(logits, temperature)
    result = Calibration(
        temperature,
        len(labels),
        len(clips) - len(labels),
        int((scaled.argmax(1) != before.argmax(1)).sum()),
        measure(before, labels),
        measure(cross_fitted(logits, labels), labels),
    )
    meta = load_checkpoint_file(checkpoint).get('meta') or {}
    meta = {key: meta[key] for key in KEPT if key in meta} | dict(
        dvfl_mmaction_version=__version__,
        calibration=dict(
            file=Path(checkpoint).name,
            sha256=hash_file(checkpoint),
            temperature=temperature,
            clips=len(labels),
        ),
    )
    weights = model.cpu().state_dict()
    for part in ('weight', 'bias'):
        if f'{LAST_LAYER}.{part}' in weights:
            weights[f'{LAST_LAYER}.{part}'] /= temperature
    write_checkpoint(out, weights, 'state_dict', meta)
    return result


def choose_clips(
    loaded: LoadedRecognizer,
    words: Sequence[str],
    root: str | None,
    limit: int,
) -> list[Clip]:
    """Labelled clips of lists in a random order that is always the same.

    Arguments and errors as of :func:`calibrate_checkpoint`.
    """
    if words:
        clips = find_clips(words, root)
    else:
        clips = find_listed_clips(loaded.cfg, 'val')
    check_labels(clips, loaded.num_classes)
    clips = [clip for clip in clips if clip.label is not None]
    random.Random(0).shuffle(clips)
    return clips[:limit]


def compute_logits(
    loaded: LoadedRecognizer, clips: list[Clip], device: str, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, V, K) of V views and labels (N,) of the readable clips.

    V is 1 where the head averages logits, not probabilities.

    Raises:
        UserError: If there are fewer than 20.
    """
    predictor = make_predictor(
        loaded.model, loaded.cfg, loaded.pipeline, None, '', device
    )
    head = loaded.model.cls_head
    are_averaged = head.average_clips == 'score'
    head.average_clips = None
    predictor.score = partial(predicted_scores, loaded.model)
    logits, labels = [], []
    found = predict_clips(clips, predictor, workers=workers)
    with closing(show_progress(found, len(clips), 'predict')) as found:
        for outcome in found:
            if outcome.error is None:
                logits.append(outcome.scores)
                labels.append(clips[outcome.index].label)
    if len(labels) < FEWEST:
        raise UserError(
            f'{len(labels)} clips with a label can be read of '
            f'{len(clips)}; a temperature needs {FEWEST} or more; give a '
            'longer list'
        )
    if len({x.shape for x in logits}) > 1:
        raise UserError(
            'the clips have different numbers of views; give a config whose '
            'test pipeline has the same number for all'
        )
    logits = np.stack(logits)
    if are_averaged:
        logits = logits.mean(1, keepdims=True)
    return logits, np.array(labels)


def measure(log_probabilities: np.ndarray, labels: np.ndarray) -> Measures:
    """Measure probabilities.

    Args:
        log_probabilities: Of the classes, (N, K).
        labels: (N,), each in [0, K).
    """
    scores = np.exp(log_probabilities)
    ranks = rank_of_label(log_probabilities, labels)
    own = np.take_along_axis(log_probabilities, labels[:, None], axis=1)
    return Measures(
        float(scores.max(1).mean()),
        float(np.mean(ranks < 1)),
        calibration(scores, ranks, NUM_BINS)['ece'],
        float(-own.mean()),
    )
