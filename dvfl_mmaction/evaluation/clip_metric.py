"""Accuracy, confusion and calibration of a clip classifier."""

from collections.abc import Sequence

import numpy as np
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric

from ..errors import UserError
from .classification import calibration, confusion_matrix, rank_of_label

NUM_HARDEST = 10


@METRICS.register_module()
class ClipMetric(BaseMetric):
    """Top-k accuracy, accuracy per class, confusion and calibration.

    It logs ``acc/top1`` and the other top-k, ``acc/mean1`` (MMAction2's name
    of the mean of the accuracies per class) and ``acc/ece``. The rest is in
    :attr:`report`, which ``ResultsHook`` writes. An unreadable clip counts
    as wrong. Among equal scores the label ranks last, so a model with
    constant scores is never right.

    Args:
        top_k: The values of k; each 1 or more.
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
        top_k: Sequence[int] = (1, 5),
        num_bins: int = 15,
        collect_device: str = 'cpu',
    ):
        super().__init__(collect_device=collect_device)
        if not top_k or min(top_k) < 1:
            raise UserError(
                f'top_k is {top_k!r}; wanted: one or more numbers of at '
                'least 1; give, for example, (1, 5)'
            )
        if num_bins < 1:
            raise UserError(
                f'num_bins is {num_bins!r}; wanted: at least 1; give, for '
                'example, 15'
            )
        self.top_k = tuple(top_k)
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
            self.results.append(
                dict(
                    scores=sample['pred_score'].float().cpu().numpy(),
                    label=int(sample['gt_label']),
                    clip=sample.get('filename'),
                    broken=sample.get('broken', ()),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Fill :attr:`report` and return the numbers to log, in [0, 1]."""
        scores = np.stack([r['scores'] for r in results])  # (N, K)
        labels = np.array([r['label'] for r in results])
        readable = np.array([not r['broken'] for r in results])
        # Unreadable clips are wrong even if k is the number of classes.
        never = max(*self.top_k, scores.shape[1])
        ranks = np.where(readable, rank_of_label(scores, labels), never)
        predicted = np.where(readable, scores.argmax(1), -1)
        confusion = confusion_matrix(labels, predicted, scores.shape[1])
        per_class = accuracy_by_class(ranks, labels, scores.shape[1])
        known = [c['top1'] for c in per_class if c['top1'] is not None]
        top = {f'top{k}': float(np.mean(ranks < k)) for k in self.top_k}
        top['mean1'] = float(np.mean(known))
        bins = calibration(scores[readable], ranks[readable], self.num_bins)
        if bins is not None:
            top['ece'] = bins['ece']
        self.report = dict(
            clips=len(labels),
            correct={f'top{k}': int(np.sum(ranks < k)) for k in self.top_k},
            **top,
            broken=[
                dict(clip=name, reason=reason)
                for r in results
                for name, reason in r['broken']
            ],
            per_class=per_class,
            hardest_pairs=hardest_pairs(confusion),
            calibration=bins,
            confusion_matrix=confusion.tolist(),
        )
        return top


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
