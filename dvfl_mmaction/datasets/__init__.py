from .clip_blending import MixupOrCutmix
from .clip_transforms import ClipColorJitter, ClipGrayscale

__all__ = ['ClipColorJitter', 'ClipGrayscale', 'MixupOrCutmix']
