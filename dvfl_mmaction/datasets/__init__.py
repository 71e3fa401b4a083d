from .clip_blending import MixupOrCutmix
from .clip_dataset import ClipDataset
from .clip_preprocessor import ClipDataPreprocessor
from .clip_reading import ClipDecode, ClipInit
from .clip_transforms import ClipColorJitter, ClipGrayscale
from .stream import StreamSampler

__all__ = [
    'ClipColorJitter',
    'ClipDataPreprocessor',
    'ClipDataset',
    'ClipDecode',
    'ClipGrayscale',
    'ClipInit',
    'MixupOrCutmix',
    'StreamSampler',
]
