from .clip_dataset import ClipDataset
from .clip_transforms import ClipColorJitter, ClipGrayscale
from .loading import ClipDecode, ClipInit
from .stream import StreamSampler

__all__ = [
    'ClipColorJitter',
    'ClipDataset',
    'ClipDecode',
    'ClipGrayscale',
    'ClipInit',
    'StreamSampler',
]
