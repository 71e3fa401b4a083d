"""The paper's split: 70 % of every class, no source on both sides."""

import hashlib
from collections import Counter, defaultdict

from .findings import Clip

TRAIN_PERCENT = 70


def split_by_source(clips: list[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Divide clips 70 to 30 per class; a source stays on one side.

    Sources are ordered by the sha256 of their names, so the result does not
    depend on the order of ``clips`` or on Python's hash seed. Sources that
    occur in several classes are placed first, the largest before the
    others, on the side that brings their classes nearer to 70 %. The other
    sources then bring each class as near to 70 % as possible. A class with
    two or more sources to choose from has clips on both sides.

    Returns:
        (train, val), each sorted by name.
    """
    sizes = defaultdict(Counter)  # source -> label -> clips
    for clip in clips:
        sizes[clip.group][clip.label] += 1
    order = sorted(sizes, key=rank)
    train = set()
    placed = defaultdict(lambda: [0, 0])  # label -> clips in (train, val)

    def place(source, side):
        for label, count in sizes[source].items():
            placed[label][side] += count
        if side == 0:
            train.add(source)

    shared = [source for source in order if len(sizes[source]) > 1]
    for source in sorted(shared, key=lambda s: -sizes[s].total()):
        distances = [distance(sizes[source], placed, side) for side in (0, 1)]
        place(source, distances.index(min(distances)))
    own = defaultdict(list)  # label -> sources of this class only
    for source in order:
        if len(sizes[source]) == 1:
            own[next(iter(sizes[source]))].append(source)
    for label, sources in own.items():
        counts = [sizes[source][label] for source in sources]
        for source, in_train in zip(
            sources, choose(counts, *placed[label]), strict=True
        ):
            place(source, 0 if in_train else 1)
    ordered = sorted(clips, key=lambda clip: clip.name)
    return (
        [clip for clip in ordered if clip.group in train],
        [clip for clip in ordered if clip.group not in train],
    )


def rank(source: str) -> tuple[bytes, str]:
    return hashlib.sha256(source.encode()).digest(), source


def distance(size: Counter, placed, side: int) -> int:
    """Distance of a source's classes from 70 %, if placed on ``side``."""
    total = 0
    for label, count in size.items():
        train, val = placed[label]
        in_train = train + (count if side == 0 else 0)
        everything = train + val + count
        total += abs(100 * in_train - TRAIN_PERCENT * everything)
    return total


def choose(counts: list[int], train: int = 0, val: int = 0) -> list[bool]:
    """Choose the sources of a class that are for training.

    Args:
        counts: Clips per source.
        train: Clips of the class already placed for training.
        val: Clips of the class already placed for validation.

    Returns:
        The choice whose sum is nearest to 70 % of all clips; earlier
        sources are preferred.
    """
    # Bit s of reachable[i]: some of the first i sources have s clips.
    reachable = [1]
    for count in counts:
        reachable.append(reachable[-1] | reachable[-1] << count)
    total = sum(counts)
    everything = train + val + total
    sums = [s for s in range(total + 1) if reachable[-1] >> s & 1]
    both = [s for s in sums if train + s > 0 and val + total - s > 0]
    rest = min(
        both or sums[-1:],
        key=lambda s: abs(100 * (train + s) - TRAIN_PERCENT * everything),
    )
    chosen = []
    for i in reversed(range(len(counts))):
        without = reachable[i] >> rest & 1
        chosen.append(not without)
        rest -= 0 if without else counts[i]
    return chosen[::-1]
