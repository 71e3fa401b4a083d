"""How much of a modulator's weight lies on the moving object."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..prediction.batches import ClipReader
from ..prediction.clips import Clip
from ..tables import align
from .demo_object import read_masks
from .modulators import KINDS
from .observer import Observer, View, time_steps

RESAMPLES = 2000
CONFIDENCE = 0.95


def focus_ratio(weights: np.ndarray, mask: np.ndarray) -> float | None:
    """Share of the weight on the object over its share of the area.

    1 if the weight is even, 1 / area if all of it is on the object.

    Args:
        weights: (N, H, W), not negative.
        mask: (N, H, W) in [0, 1]: the part of a pixel that is object.

    Returns:
        The ratio over all frames; None without an object or weight.
    """
    total, area = weights.sum(dtype=np.float64), mask.mean(dtype=np.float64)
    if not total or not area:
        return None
    on_object = (weights * mask).sum(dtype=np.float64)
    return float(on_object / total / area)


def ratios_of(view: View, mask: np.ndarray) -> np.ndarray:
    """Ratios of a clip, (stages, kinds); NaN where there is none.

    Args:
        view: What a model saw.
        mask: (T, H, W) of the same frames.
    """
    mask = mask[time_steps(len(mask), len(view.frames))]
    rows = [
        [focus_ratio(of_stage[kind], mask) for kind in KINDS]
        for of_stage in view.maps.values()
    ]
    return np.array(rows, float)  # None becomes NaN


def measure_clips(
    observers: Sequence[Observer], clips: Sequence[Clip]
) -> Iterator[tuple[list[np.ndarray] | None, str | None]]:
    """Yield the ratios of each clip, one array per model.

    Yields:
        The arrays and None, or None and why the clip cannot be read.

    Raises:
        UserError: If a clip is not of the demo data.
    """
    readers = [ClipReader(clips, observer) for observer in observers]
    for index, clip in enumerate(clips):
        found = []
        for observer, reader in zip(observers, readers, strict=True):
            _, data, error = reader[index]
            if error is not None:
                break
            mask = read_masks(clip.path, observer.pipeline, observer.modality)
            found.append(ratios_of(observer.observe(data), mask))
        yield (None, error) if error is not None else (found, None)


def summarise(ratios: np.ndarray, seed: int = 0) -> dict:
    """Mean over clips, with a bootstrap interval of 95 %.

    Args:
        ratios: (clips,), without NaN.
        seed: Of the 2000 resamples of clips.

    Returns:
        ``mean``, ``low`` and ``high``.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(ratios), size=(RESAMPLES, len(ratios)))
    means = ratios[drawn].mean(1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return dict(mean=float(ratios.mean()), low=float(low), high=float(high))


def have_ratios(ratios: Sequence[np.ndarray]) -> np.ndarray:
    """Whether a clip has all ratios of all models, (clips,) of bool."""
    return ~np.isnan(np.stack([r.mean((1, 2)) for r in ratios])).any(0)


def report_focus(
    observers: Sequence[Observer], ratios: Sequence[np.ndarray]
) -> dict:
    """Summaries of all models on the same clips.

    Args:
        observers: Trained models, each followed by its untrained form.
        ratios: Of each, (clips, stages, kinds).

    Returns:
        ``clips``, the number with an object in view, and ``models``, each
        with its ``name`` and ``stages``: per stage and kind the summary of
        the ratio, and in trained ones as ``gain`` the summary of the paired
        difference from the untrained form.
    """
    valid = have_ratios(ratios)
    ratios = [of_model[valid] for of_model in ratios]
    models = []
    for number, (observer, own) in enumerate(
        zip(observers, ratios, strict=True)
    ):
        stages = {}
        for row, stage in enumerate(observer.stages):
            stages[str(stage)] = {
                kind: summarise(own[:, row, column])
                for column, kind in enumerate(KINDS)
            }
            if number % 2 == 0:
                gains = own - ratios[number + 1]
                for column, kind in enumerate(KINDS):
                    gain = summarise(gains[:, row, column])
                    stages[str(stage)][kind]['gain'] = gain
        models.append(dict(name=observer.name, stages=stages))
    return dict(
        clips=int(valid.sum()),
        weight='L2 norm over channels, upsampled bilinearly',
        interval=f'{RESAMPLES} bootstrap resamples of clips, 95 %',
        models=models,
    )


def focus_table(report: dict) -> str:
    """The ratios as a Markdown table, with their intervals."""
    rows = [('model', 'stage', *KINDS)]
    for model in report['models']:
        for stage, kinds in model['stages'].items():
            cells = [
                '{mean:.2f} ({low:.2f} to {high:.2f})'.format(**kinds[kind])
                for kind in KINDS
            ]
            rows.append((model['name'], stage, *cells))
    return align(rows)
