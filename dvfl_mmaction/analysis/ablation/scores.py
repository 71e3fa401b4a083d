"""Scores per clip of a test: the file, and what is measured from it."""

import hashlib
import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...evaluation.classification import (
    NUM_BINS,
    are_numbers,
    calibration,
    rank_of_label,
)
from ...files import whole_file


@dataclass(frozen=True)
class ClipScores:
    """The scores of a test, sorted by clip.

    Attributes:
        clips: (N,) names.
        labels: (N,).
        scores: (N, K) probabilities.
        readable: (N,) of bool; unreadable clips count as wrong.
        places: (N,) places in the test list.
    """

    clips: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    readable: np.ndarray
    places: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """(N,) of bool: whether the label alone has the highest score."""
        return self.within(1)

    def within(self, k: int) -> np.ndarray:
        """(N,) of bool: whether the label is among the k highest scores."""
        ranks = rank_of_label(self.scores, self.labels)
        return (ranks < k) & self.readable & are_numbers(self.scores)

    @property
    def predicted(self) -> np.ndarray:
        """(N,) classes."""
        return self.scores.argmax(1)


def convert_dump(dump: Path, path: Path):
    """Convert what ``test.py --dump`` just wrote to an npz file.

    Args:
        dump: Pickle of MMEngine's ``DumpResults``, written by this run.
        path: The file to write.

    Raises:
        UserError: If clips have several labels, or no scores.
    """
    samples = pickle.loads(dump.read_bytes())
    if any(sample['gt_label'].numel() != 1 for sample in samples):
        raise UserError(
            'an ablation compares accuracies, which need one label per clip; '
            'the test list has several; give test_dataloader a list without '
            'multi_class'
        )
    scores = np.stack(
        [s['pred_score'].float().reshape(-1).numpy() for s in samples]
    )
    names = [str(s.get('filename', i)) for i, s in enumerate(samples)]
    with whole_file(path) as part, part.open('wb') as file:
        np.savez_compressed(
            file,
            clips=np.array(names),
            labels=np.array([int(s['gt_label']) for s in samples]),
            scores=scores,
            readable=np.array([not s.get('broken') for s in samples]),
        )


def load_scores(path: Path) -> ClipScores:
    """Load an npz file of :func:`convert_dump`, sorted by clip.

    The file has the order of the test list.

    Raises:
        UserError: If it does not exist or cannot be read.
    """
    try:
        with np.load(path) as file:
            order = np.argsort(file['clips'], kind='stable')
            return ClipScores(
                *(
                    file[name][order]
                    for name in ('clips', 'labels', 'scores', 'readable')
                ),
                places=order,
            )
    except FileNotFoundError:
        raise UserError(
            f'the scores {path} were not found; give --report the folder '
            'that holds the runs, or results that have right per run'
        ) from None
    except Exception as error:  # of zipfile, zlib, or NumPy's parser
        raise UserError(
            f'the scores {path} cannot be read ({error}); restore the '
            f'file, or remove {path.parent / "run.json"} and rerun the '
            'ablation, which only repeats the test'
        ) from None


def join(parts: list[ClipScores], names: list[str]) -> ClipScores:
    """Scores of several test lists as one; names keep the clips apart."""
    clips = [
        np.char.add(f'{name}:', part.clips)
        for name, part in zip(names, parts, strict=True)
    ]
    before = np.cumsum([0, *(len(part.clips) for part in parts[:-1])])
    return ClipScores(
        np.concatenate(clips),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ('labels', 'scores', 'readable')
        ),
        places=np.concatenate(
            [part.places + n for part, n in zip(parts, before, strict=True)]
        ),
    )


@lru_cache(maxsize=64)
def cached_scores(path: str) -> ClipScores:
    """Load scores once."""
    return load_scores(Path(path))


def has_scores(run: dict) -> bool:
    """Whether the scores per clip of a run, or of all that it joins, exist."""
    parts = run.get('pooled', {'': run}).values()
    return all(Path(part['scores']).is_file() for part in parts)


def scores_of(run: dict) -> ClipScores:
    """Scores per clip of a run, or of the runs that were pooled."""
    if 'pooled' not in run:
        return cached_scores(run['scores'])
    parts = run['pooled']
    return join(
        [cached_scores(part['scores']) for part in parts.values()],
        list(parts),
    )


def measure(scores: ClipScores) -> dict:
    """Clips, top-1, top-5, calibration error and the outcome of each clip.

    Shares are in [0, 1]. ``right`` has 1 or 0 per clip, in the order of the
    test list, and ``test_list`` is a hash of its clips and labels.
    """
    good = scores.readable
    ranks = rank_of_label(scores.scores, scores.labels)
    bins = calibration(scores.scores[good], ranks[good], NUM_BINS)
    return dict(
        clips=len(scores.clips),
        top1=float(scores.within(1).mean()),
        top5=float(scores.within(5).mean()),
        ece=bins and bins['ece'],
        **outcomes(scores),
    )


def outcomes(scores: ClipScores) -> dict:
    """The outcome of each clip, and which clips they are."""
    listed = np.argsort(scores.places)
    right = ''.join('01'[int(c)] for c in scores.correct[listed])
    clips = zip(scores.clips[listed], scores.labels[listed], strict=True)
    text = '\n'.join(f'{clip} {label}' for clip, label in clips)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return dict(right=right, test_list=digest)


def agreement(student: ClipScores, teacher: ClipScores) -> float | None:
    """Share of the clips that both give one class; None for other clips."""
    if not np.array_equal(student.clips, teacher.clips):
        return None
    both = student.readable & teacher.readable
    same = student.predicted == teacher.predicted
    same &= are_numbers(student.scores) & are_numbers(teacher.scores)
    return float(same[both].mean()) if both.any() else None
