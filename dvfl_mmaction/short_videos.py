"""Let MMAction2 sample a clip of a video that is shorter than its interval.

``UntrimmedSampleFrames`` of MMAction2 1.2.0 puts the first clip at half the
interval between clips. For a video that ends before, it raises a ValueError
of NumPy, which ends the run.
"""

import copy
import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def sample_short_videos() -> Iterator[None]:
    """Sample one clip, around the middle, while the context lasts.

    Nothing is replaced where MMAction2 samples a clip itself.
    """
    from mmaction.datasets.transforms import UntrimmedSampleFrames as sampler

    if takes_short_videos(sampler):
        yield
        return
    before = sampler.transform
    sampler.transform = ours = with_a_clip(before)
    logger.debug("MMAction2's UntrimmedSampleFrames takes short videos")
    try:
        yield
    finally:
        if sampler.transform is ours:
            sampler.transform = before


def takes_short_videos(sampler) -> bool:
    """Check whether a class of steps samples a video of one frame."""
    try:
        sampler(1, 16).transform(dict(total_frames=1, start_index=0))
    except ValueError:  # need at least one array to concatenate
        return False
    return True


def with_a_clip(transform):
    """Wrap the step's method."""

    @functools.wraps(transform)
    def sample(self, results):
        num_frames = results['total_frames']
        if not 0 < num_frames <= self.clip_interval // 2:
            return transform(self, results)
        whole = copy.copy(self)
        whole.clip_interval = num_frames  # the only centre is its half
        results = transform(whole, results)
        results['clip_interval'] = self.clip_interval
        return results

    return sample
