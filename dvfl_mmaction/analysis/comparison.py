"""Ratios between two formulations of the same models."""

import statistics
from collections.abc import Sequence


def quantile(ordered: list[float], fraction: float) -> float:
    """Quantile of sorted values, by linear interpolation."""
    position = fraction * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def compare(measurements: Sequence) -> list[dict]:
    """Compare each model with its released formulation.

    Args:
        measurements: Of :func:`.benchmark.run_benchmark`; two of a name are
            one model, with and without ``released``.

    Returns:
        Per model its ``name`` and ratios released / ours: ``forward`` and
        ``step``, each with ``median`` and ``quartiles`` over the rounds, and
        ``inference_bytes`` and ``training_bytes``. What was not measured is
        None.
    """
    ours = {m.name: m for m in measurements if not m.released}
    return [
        dict(
            name=released.name,
            forward=ratios(released.forward_s, ours[released.name].forward_s),
            step=ratios(released.step_s, ours[released.name].step_s),
            inference_bytes=ratio(
                released.inference_bytes, ours[released.name].inference_bytes
            ),
            training_bytes=ratio(
                released.training_bytes, ours[released.name].training_bytes
            ),
        )
        for released in measurements
        if released.released
    ]


def ratios(above: Sequence[float], below: Sequence[float]) -> dict | None:
    """Median and quartiles of the ratios of paired times."""
    pairs = zip(above, below, strict=True)
    ordered = sorted(a / b for a, b in pairs)
    if not ordered:
        return None
    return dict(
        median=statistics.median(ordered),
        quartiles=[quantile(ordered, q) for q in (0.25, 0.75)],
    )


def ratio(above: int | None, below: int | None) -> float | None:
    """Their ratio, if both were measured."""
    return above / below if above and below else None
