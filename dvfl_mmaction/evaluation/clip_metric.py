"""Accuracy, confusion and calibration of a clip classifier."""

from collections.abc import Sequence

import numpy as np
from mmaction.evaluation import mean_average_precision
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..errors import UserError
from .classification import (
    NUM_BINS,
    are_numbers,
    calibration,
    confusion_matrix,
    rank_of_label,
)

NUM_HARDEST = 10


@METRICS.register_module()
class ClipMetric(BaseMetric):
    """Top-k accuracy, accuracy per class, confusion and calibration.

    For clips with several labels (``multi_class`` of the data set) it is the
    mean average precision, ``acc/mean_average_precision`` as in MMAction2,
    and the average precision per class.

    It logs ``acc/top1`` and the other top-k, ``acc/mean1`` (MMAction2's name
    of the mean of the accuracies per class) and ``acc/ece``. The rest is in
    :attr:`report`, which ``ResultsHook`` writes. An unreadable clip counts
    as wrong, and so does one with NaN scores. Among equal scores the label
    ranks last, so a model with constant scores is never right. With several
    labels, such clips rank last in each class. With the scores of an
    ``EveryFrameHead`` the report has ``frames_seen``, the top-1 accuracy
    after each frame.

    Args:
        top_k: One k or several, each 1 or more.
        num_bins: Number of equally wide bins of the calibration error.
        collect_device: Where processes gather results: ``'cpu'``, ``'gpu'``.

    Attributes:
        report: Results of the last evaluation as plain numbers, lists and
            dicts; None before the first one.

    Raises:
        UserError: If an argument is out of range, or if the model returns
            no scores.
    """

    default_prefix = 'acc'

    def __init__(
        self,
        top_k: int | Sequence[int] = (1, 5),
        num_bins: int = NUM_BINS,
        collect_device: str = 'cpu',
    ):
        super().__init__(collect_device=collect_device)
        values = tuple(top_k) if isinstance(top_k, Sequence) else (top_k,)
        if not values or not all(map(is_count, values)):
            raise UserError(
                f'top_k is {top_k!r}; wanted: one or more whole numbers of '
                'at least 1; give, for example, (1, 5)'
            )
        if not is_count(num_bins):
            raise UserError(
                f'num_bins is {num_bins!r}; wanted: a whole number of at '
                'least 1; give, for example, 15'
            )
        self.top_k = values
        self.num_bins = num_bins
        self.report = None

    def process(self, data_batch, data_samples: Sequence[dict]):
        """Store the scores (K,), label and faults of each clip of a batch."""
        for sample in data_samples:
            if 'pred_score' not in sample:
                raise UserError(
                    'the model returned no scores; ClipMetric needs a '
                    'recognizer with scores; set average_clips in its head'
                )
            scores, label = sample['pred_score'], sample['gt_label']
            if scores.dim() == 2 and len(scores) == 1:
                scores = scores[0]  # one view that was not averaged
            if scores.dim() > 1:
                raise UserError(
                    f'the model returned scores of shape '
                    f'{tuple(scores.shape)} for a clip; ClipMetric needs one '
                    'per class, averaged over the views; set average_clips '
                    "to 'prob' or 'score' in model.cls_head"
                )
            by_frame = {}
            if 'frame_scores' in sample and label.numel() == 1:
                by_frame['frame_ranks'] = ranks_by_frame(
                    sample['frame_scores'], int(label)
                )
            self.results.append(
                dict(
                    by_frame,
                    scores=scores.float().cpu().numpy(),
                    label=int(label)
                    if label.numel() == 1
                    else label.cpu().numpy(),
                    clip=sample.get('filename'),
                    broken=sample.get('broken', ()),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Fill :attr:`report` and return the numbers to log, in [0, 1]."""
        scores = np.stack([r['scores'] for r in results])  # (N, K)
        labels = np.array([r['label'] for r in results])
        readable = np.array([not r['broken'] for r in results])
        broken = [
            dict(clip=name, reason=reason)
            for r in results
            for name, reason in r['broken']
        ]
        measure = self.measure if labels.ndim == 1 else self.measure_several
        logged, rest = measure(scores, labels, readable)
        if all('frame_ranks' in r for r in results):
            ranks = np.stack([r['frame_ranks'] for r in results])  # (N, T)
            rest['frames_seen'] = accuracy_by_frame(ranks, readable)
        self.report = dict(clips=len(labels), broken=broken) | logged | rest
        return logged

    def measure(
        self, scores: np.ndarray, labels: np.ndarray, readable: np.ndarray
    ) -> tuple[dict[str, float], dict]:
        """Numbers to log and the rest of the report, one label per clip.

        Args:
            scores: (N, K).
            labels: (N,).
            readable: (N,) of bool.
        """
        # Unreadable clips are wrong even if k is the number of classes, and
        # so are those of a model that diverged.
        never = max(*self.top_k, scores.shape[1])
        scored = readable & are_numbers(scores)
        ranks = np.where(scored, rank_of_label(scores, labels), never)
        predicted = np.where(scored, scores.argmax(1), -1)
        confusion = confusion_matrix(labels, predicted, scores.shape[1])
        per_class = accuracy_by_class(ranks, labels, scores.shape[1])
        known = [c['top1'] for c in per_class if c['top1'] is not None]
        top = {f'top{k}': float(np.mean(ranks < k)) for k in self.top_k}
        top['mean1'] = float(np.mean(known))
        bins = calibration(scores[readable], ranks[readable], self.num_bins)
        if bins is not None:
            top['ece'] = bins['ece']
        return top, dict(
            correct={f'top{k}': int(np.sum(ranks < k)) for k in self.top_k},
            per_class=per_class,
            hardest_pairs=hardest_pairs(confusion),
            calibration=bins,
            confusion_matrix=confusion.tolist(),
        )

    def measure_several(
        self, scores: np.ndarray, labels: np.ndarray, readable: np.ndarray
    ) -> tuple[dict[str, float], dict]:
        """Numbers to log and the rest of the report, several labels per clip.

        Args:
            scores: (N, K).
            labels: (N, K) of 0 and 1.
            readable: (N,) of bool.
        """
        scored = (readable & are_numbers(scores))[:, None]
        # MMAction2 would rank NaN first.
        lowest = scores.min(0, keepdims=True, where=scored, initial=0) - 1
        scores = np.where(scored, scores, lowest)
        per_class = [
            dict(
                label=label,
                clips=int(truth.sum()),
                average_precision=float(
                    mean_average_precision(score[:, None], truth[:, None])
                )
                if truth.any()
                else None,
            )
            for label, (score, truth) in enumerate(
                zip(scores.T, labels.T, strict=True)
            )
        ]
        known = [c['average_precision'] for c in per_class if c['clips']]
        top = dict(mean_average_precision=float(np.mean(known)))
        return top, dict(per_class=per_class)


def is_count(value) -> bool:
    """Whether an argument is a whole number of 1 or more."""
    return type(value) is int and value >= 1


def ranks_by_frame(scores: Tensor, label: int) -> np.ndarray:
    """Rank of the label after each frame, (T, K) -> (T,), best 0.

    With a NaN among the scores of a frame it is K: no prediction.
    """
    scores = scores.float().cpu().numpy()
    ranks = rank_of_label(scores, np.full(len(scores), label))
    return np.where(are_numbers(scores), ranks, scores.shape[1])


def accuracy_by_frame(ranks: np.ndarray, readable: np.ndarray) -> list[dict]:
    """Top-1 accuracy after each frame, unreadable clips being wrong.

    Args:
        ranks: Of the labels, best 0, (N, T).
        readable: (N,) of bool.
    """
    right = (ranks < 1) & readable[:, None]
    return [
        dict(frames=t, top1=float(of_frame.mean()))
        for t, of_frame in enumerate(right.T, 1)
    ]


def accuracy_by_class(ranks, labels, num_classes: int) -> list[dict]:
    """Clips and top-1 accuracy per class; None for a class without clips."""
    classes = []
    for label in range(num_classes):
        of_class = ranks[labels == label]
        top1 = float(np.mean(of_class < 1)) if len(of_class) else None
        classes.append(dict(label=label, clips=len(of_class), top1=top1))
    return classes


def hardest_pairs(confusion: np.ndarray) -> list[dict]:
    """The pairs of classes that are confused most, worst share first.

    Args:
        confusion: (K, K) counts, label by prediction.
    """
    clips = confusion.sum(1)
    pairs = [
        dict(
            label=int(label),
            predicted=int(predicted),
            clips=int(confusion[label, predicted]),
            share=float(confusion[label, predicted] / clips[label]),
        )
        for label, predicted in zip(*np.nonzero(confusion), strict=True)
        if label != predicted
    ]
    pairs.sort(key=lambda p: (-p['share'], -p['clips'], p['label']))
    return pairs[:NUM_HARDEST]
