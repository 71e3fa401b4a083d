"""Colour augmentations that change all frames of a clip in the same way."""

import cv2
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ..errors import UserError

# ITU-R BT.601 luma, the grey of OpenCV, Pillow and torchvision.
LUMA = np.array([0.299, 0.587, 0.114])
HUE_BLOCK = 2**15  # pixels


@TRANSFORMS.register_module()
class ClipColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue of a clip.

    The operations and their random order are those of torchvision's
    ``ColorJitter``. Amounts are drawn once per clip, so that static pixels
    do not flicker. For the same reason the centre of the contrast change is
    the mean grey of the clip, not of each frame: a pixel that is constant
    over the frames stays constant. Values are rounded to nearest after each
    operation. Draws come from NumPy's global generator, as in MMAction2's
    transforms.

    Required and modified key: ``imgs``, T frames, (H, W, 3) uint8 RGB; or,
    deferred, modified key: ``color_changes``, see :func:`defer`.

    Args:
        prob: Probability that a clip is changed, in [0, 1].
        brightness: The pixels are multiplied by a factor drawn from
            [max(0, 1 - brightness), 1 + brightness]; >= 0.
        contrast: As brightness, for the distance from the clip's mean grey.
        saturation: As brightness, for the distance from the pixel's grey.
        hue: The hue is rotated by an angle drawn from [-hue, hue], in turns
            of the colour circle; in [0, 0.5].
        deferred: Only draw; ``ClipDataPreprocessor`` applies the changes.

    Raises:
        UserError: If an argument is out of range, or, in use, if a frame is
            not RGB of type uint8.
    """

    def __init__(
        self,
        prob: float = 0.8,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        deferred: bool = False,
    ):
        self.prob = check_range('prob', prob, 1)
        self.brightness = check_range('brightness', brightness)
        self.contrast = check_range('contrast', contrast)
        self.saturation = check_range('saturation', saturation)
        self.hue = check_range('hue', hue, 0.5)
        self.deferred = deferred

    def transform(self, results: dict) -> dict:
        """Change ``results['imgs']`` with probability ``prob``."""
        if np.random.random() >= self.prob:
            return results
        order = np.random.permutation(4)
        amounts = (
            ('brightness', self._factor(self.brightness)),
            ('contrast', self._factor(self.contrast)),
            ('saturation', self._factor(self.saturation)),
            ('hue', np.random.uniform(-self.hue, self.hue)),
        )
        changes = [amounts[i] for i in order]
        if self.deferred:
            return defer(results, changes)
        clip = stack_frames(results['imgs'], self)
        for name, amount in changes:
            clip = ADJUSTMENTS[name](clip, amount)
        results['imgs'] = split_frames(clip, results['imgs'])
        return results

    @staticmethod
    def _factor(spread):
        return np.random.uniform(max(0.0, 1.0 - spread), 1.0 + spread)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, '
            f'brightness={self.brightness}, contrast={self.contrast}, '
            f'saturation={self.saturation}, hue={self.hue}, '
            f'deferred={self.deferred})'
        )


@TRANSFORMS.register_module()
class ClipGrayscale(BaseTransform):
    """Convert a whole clip to grey, with three equal channels.

    Required and modified key: ``imgs``, T frames, (H, W, 3) uint8 RGB; or,
    deferred, modified key: ``color_changes``, see :func:`defer`.

    Args:
        prob: Probability that a clip is converted, in [0, 1].
        deferred: Only draw; ``ClipDataPreprocessor`` applies the changes.

    Raises:
        UserError: If ``prob`` is out of range, or, in use, if a frame is
            not RGB of type uint8.
    """

    def __init__(self, prob: float = 0.2, deferred: bool = False):
        self.prob = check_range('prob', prob, 1)
        self.deferred = deferred

    def transform(self, results: dict) -> dict:
        """Change ``results['imgs']`` with probability ``prob``."""
        if np.random.random() >= self.prob:
            return results
        if self.deferred:
            return defer(results, [('saturation', 0.0)])
        clip = stack_frames(results['imgs'], self)
        results['imgs'] = split_frames(grayscale(clip), results['imgs'])
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, '
            f'deferred={self.deferred})'
        )


def defer(results: dict, changes: list) -> dict:
    """Append colour changes to those that are applied later.

    ``results['color_changes']`` is a tuple of (operation, amount) in order:
    'brightness', 'contrast' or 'saturation' with its factor, 'hue' with its
    turn. ``PackActionInputs`` needs ``meta_keys=('color_changes',)`` to pass
    it on.
    """
    noted = results.get('color_changes', ())
    results['color_changes'] = (*noted, *changes)
    return results


# An image below is (N, W, 3) uint8 RGB: the frames of a clip stacked
# vertically, N = T * H, so that one call of OpenCV processes a clip.


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply every pixel by ``factor`` >= 0."""
    return map_levels(image, factor, 0.0)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance from the image's mean grey by ``factor``."""
    mean = float(np.dot(LUMA, cv2.mean(image)[:3]))
    return map_levels(image, factor, (1.0 - factor) * mean)


def map_levels(image, gain, offset) -> np.ndarray:
    """gain * image + offset, rounded and clipped to [0, 255]."""
    levels = gain * np.arange(256) + offset
    return cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance from each pixel's own grey by ``factor``."""
    return cv2.addWeighted(image, factor, grayscale(image), 1.0 - factor, 0.0)


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Rotate the hue by ``turn`` in [-0.5, 0.5] of the colour circle.

    Computed in float, because OpenCV's 8-bit HSV has 180 hues and a round
    trip changes a channel by several levels. Computed in blocks of rows,
    whose floats fit the processor's cache: this takes a quarter of the time
    of a whole clip.
    """
    turned = np.empty_like(image)
    rows = max(1, HUE_BLOCK // image.shape[1])
    for start in range(0, len(image), rows):
        block = image[start : start + rows].astype(np.float32)
        hsv = cv2.cvtColor(block, cv2.COLOR_RGB2HSV)
        # In degrees. HSV2RGB accepts hues of 360 and more, but none below 0.
        hsv[..., 0] += 360 * (turn % 1.0)
        # Rounds and clips; no value is negative, so abs changes nothing.
        cv2.convertScaleAbs(
            cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB),
            dst=turned[start : start + rows],
        )
    return turned


ADJUSTMENTS = dict(
    brightness=adjust_brightness,
    contrast=adjust_contrast,
    saturation=adjust_saturation,
    hue=adjust_hue,
)


def grayscale(image: np.ndarray) -> np.ndarray:
    """Each pixel's grey in all three channels."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def stack_frames(frames, transform: BaseTransform) -> np.ndarray:
    """T frames (H, W, 3) -> one image (T * H, W, 3).

    Raises:
        UserError: If a frame is not RGB of type uint8.
    """
    for frame in frames:
        if frame.dtype != np.uint8 or frame.shape[2:] != (3,):
            raise UserError(
                f'{type(transform).__name__} got a frame of shape '
                f'{frame.shape} and type {frame.dtype}; it needs (height, '
                'width, 3) and uint8: put it after decoding and before '
                'FormatShape'
            )
    if isinstance(frames, np.ndarray):
        return frames.reshape(-1, *frames.shape[2:])
    return np.concatenate(frames)


def split_frames(image: np.ndarray, like):
    """Undo :func:`stack_frames`; the type is that of ``like``."""
    clip = image.reshape(len(like), -1, *image.shape[1:])
    return clip if isinstance(like, np.ndarray) else list(clip)


def check_range(name: str, value: float, high: float = np.inf) -> float:
    """Return ``value`` if it is a number in [0, high].

    Raises:
        UserError: If it is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= high or value == np.inf:
        wanted = 'of 0 or more' if high == np.inf else f'in [0, {high}]'
        raise UserError(f'{name} is {value!r}; give a number {wanted}')
    return value
