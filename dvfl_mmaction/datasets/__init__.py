from .clip_blending import MixupOrCutmix
from .clip_dataset import ClipDataset
from .clip_preprocessor import ClipDataPreprocessor
from .clip_reading import ClipDecode, ClipDecodeYUV, ClipFuse, ClipInit
from .clip_transforms import ClipColorJitter, ClipGrayscale
from .stream import StreamSampler

__all__ = [
    'ClipColorJitter',
    'ClipDataPreprocessor',
    'ClipDataset',
    'ClipDecode',
    'ClipDecodeYUV',
    'ClipFuse',
    'ClipGrayscale',
    'ClipInit',
    'MixupOrCutmix',
    'StreamSampler',
]
