"""Answers of all forms of a model on the same clips."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..compat import run_repairs
from ..distillation.fingerprint import to_text
from ..evaluation.accuracy_interval import wilson_interval
from ..evaluation.classification import best_class
from ..preparation.clips.journal import Journal, stamp
from ..preparation.clips.runner import show_progress
from .deployed_models import DeployedModel
from .prediction.batches import ClipReader
from .prediction.clips import Clip

BROKEN = -1  # no answer: the clip cannot be read, or its scores are NaN


def predict_all(
    models: Mapping[str, DeployedModel],
    clips: Sequence[Clip],
    journal_path: Path,
) -> tuple[dict[str, list[int]], list[float]]:
    """Predict clips with all forms, which share what they read alike.

    Each clip is written to a journal, and is not predicted again by the
    next run.

    Args:
        models: Forms by name.
        clips: The clips.
        journal_path: File of the journal.

    Returns:
        Predicted classes by name, one per clip, -1 for broken ones; and the
        seconds that reading took, per clip that was read.
    """
    keys = {name: key_of(model) for name, model in models.items()}
    readers, names_of = {}, {}
    for name, model in models.items():
        pipeline = to_text(model.predictor.pipeline)
        names_of.setdefault(pipeline, []).append(name)
        if pipeline not in readers:
            readers[pipeline] = ClipReader(clips, model.predictor)
    found = {name: [] for name in models}
    reading = []

    def work() -> Iterator[None]:
        for i, clip in enumerate(clips):
            path = os.fspath(clip.path.absolute())
            known = journal.lookup(path, stamp(clip.path)) or {}
            new = {}
            for pipeline, names in names_of.items():
                missing = [name for name in names if keys[name] not in known]
                if missing:
                    start = time.perf_counter()
                    _, sample, _ = readers[pipeline][i]
                    if sample is not None:
                        reading.append(time.perf_counter() - start)
                    new |= {
                        keys[name]: answer(models[name], sample)
                        for name in missing
                    }
            if new:
                journal.append(path, stamp(clip.path), known | new)
            for name, key in keys.items():
                found[name].append((known | new)[key])
            yield

    with Journal(journal_path) as journal, run_repairs:
        for _ in show_progress(work(), len(clips), 'predict'):
            pass
    return found, reading


def answer(model: DeployedModel, sample: dict | None) -> int:
    """The class of a clip, -1 if it cannot be read or has NaN scores."""
    if sample is None:
        return BROKEN
    return best_class(model.predictor.score([sample])[0].numpy())


def key_of(model: DeployedModel) -> str:
    """What the answers of a form depend on."""
    text = to_text([model.entry.kind, model.predictor.settings])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def compare_answers(
    answers: Sequence[int],
    reference: Sequence[int],
    labels: Sequence[int | None],
    same_classes: bool = True,
) -> dict:
    """Accuracy of a form, and agreement with the reference.

    A broken clip, which has no answer, is wrong. One that both have no
    answer to is left out of the agreement; one that only one of them answers
    counts against it.

    Args:
        answers: Predicted classes, -1 for broken clips.
        reference: Those of the reference.
        labels: The right classes; None where unknown.
        same_classes: Whether both have the same classes, as a peer may not.

    Returns:
        ``clips``; ``broken``, the clips without an answer, if there are any;
        with labels ``labelled``, ``correct``, ``top1`` and its
        95 % ``interval``; for the same classes ``agreement`` (a share), and
        with labels ``lost`` and ``gained``, the clips that only the
        reference, or only this form, gets right.
    """
    rows = list(zip(answers, reference, labels, strict=True))
    found = dict(clips=len(rows))
    if broken := sum(a == BROKEN for a in answers):
        found['broken'] = broken
    labelled = [row for row in rows if row[2] is not None]
    if labelled:
        correct = sum(a == label for a, _, label in labelled)
        found |= dict(
            labelled=len(labelled),
            correct=correct,
            top1=correct / len(labelled),
            interval=list(wilson_interval(correct, len(labelled))),
        )
    if same_classes:
        read = [(a, r) for a, r, _ in rows if (a, r) != (BROKEN, BROKEN)]
        if read:
            found['agreement'] = sum(a == r for a, r in read) / len(read)
        if labelled:
            found['lost'] = sum(r == y != a for a, r, y in labelled)
            found['gained'] = sum(a == y != r for a, r, y in labelled)
    return found
