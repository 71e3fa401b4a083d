"""Random draws that depend only on seed, epoch and sample."""

import random
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from itertools import cycle, islice
from numbers import Integral

import numpy as np
import torch
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler

from ..random_state import preserve_rng_state


class StreamIndex(int):
    """A sample's index with the seed and the epoch of its draws.

    It is an ``int`` otherwise. It reaches the worker with the batch; an
    epoch set on the data set would stay in the main process.

    MMEngine's ``ConcatDataset`` and ``RepeatDataset`` compute the index
    within the wrapped data set with ``-`` and ``%``. The result keeps the
    stream, and the repeats of a clip draw differently.

    Attributes:
        seed, epoch: As given.
        sample: The index within the outermost data set.
    """

    def __new__(
        cls, index: int, seed: int, epoch: int, sample: int | None = None
    ):
        self = super().__new__(cls, index)
        self.seed, self.epoch = seed, epoch
        self.sample = int(index if sample is None else sample)
        return self

    def __getnewargs__(self):
        return int(self), self.seed, self.epoch, self.sample

    def within(self, index: int) -> 'StreamIndex':
        """The same sample under its index in a wrapped data set."""
        if not isinstance(index, Integral):
            return index
        return StreamIndex(index, self.seed, self.epoch, self.sample)

    def __sub__(self, other: int) -> 'StreamIndex':
        return self.within(int(self) - other)

    def __mod__(self, other: int) -> 'StreamIndex':
        return self.within(int(self) % other)

    def generator(self, *purpose: int) -> np.random.Generator:
        """A generator for this sample, this epoch and one ``purpose``."""
        return np.random.default_rng(
            [self.seed, self.epoch, self.sample, *purpose]
        )


class StreamIndices(list):
    """A list of indices; a ``StreamIndex`` gives one that keeps the stream."""

    def __getitem__(self, position):
        index = super().__getitem__(position)
        if isinstance(position, StreamIndex):
            return position.within(index)
        return index


def keep_stream(dataset):
    """Have ``ClassBalancedDataset``, which looks indices up, keep the stream.

    Args:
        dataset: Any data set. Those that it wraps are changed too.
    """
    wrapped = getattr(dataset, '__dict__', {})
    indices = wrapped.get('repeat_indices')
    if isinstance(indices, list):
        dataset.repeat_indices = StreamIndices(indices)
    for part in wrapped_datasets(dataset):
        keep_stream(part)


def wrapped_datasets(dataset) -> list:
    """The data sets that one wraps (``ConcatDataset`` …), one level deep."""
    wrapped = getattr(dataset, '__dict__', {})
    parts = [wrapped.get('dataset'), wrapped.get('_dataset')]
    parts += wrapped.get('datasets') or ()
    return [part for part in parts if part is not None]


def innermost_datasets(dataset) -> list:
    """The data sets that one wraps and that wrap none; or the data set."""
    parts = wrapped_datasets(dataset)
    return [leaf for p in parts for leaf in innermost_datasets(p)] or [dataset]


@DATA_SAMPLERS.register_module()
class StreamSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler``, whose indices carry seed and epoch.

    With a data set that draws from them (``ClipDataset``), the samples of
    an epoch are the same for any number of workers and processes, and in a
    resumed run. Arguments are those of ``DefaultSampler``.

    Attributes:
        skip: Number of indices of all processes to skip at the start of an
            epoch: an interrupted run trained on them.
    """

    skip = 0

    def __init__(self, dataset: Sized, *args, **kwargs):
        super().__init__(dataset, *args, **kwargs)
        keep_stream(dataset)

    def __iter__(self) -> Iterator[StreamIndex]:
        order = list(range(len(self.dataset)))
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(len(order), generator=generator).tolist()
        left = order[self.skip :]
        if self.round_up:
            missing = -len(left) % self.world_size
            left += islice(cycle(order), missing)
        for index in left[self.rank :: self.world_size]:
            yield StreamIndex(index, self.seed, self.epoch)


@contextmanager
def seeded(generator: np.random.Generator):
    """Seed Python's, NumPy's and PyTorch's (CPU) global generators.

    Their states are restored at the end: a loader without workers shares
    the generators with the model.
    """
    words = [int(w) for w in generator.integers(0, 2**32, 3)]
    with preserve_rng_state(cuda=False):
        random.seed(words[0])
        np.random.seed(words[1])
        torch.default_generator.manual_seed(words[2])
        yield
