"""Data preprocessor on the device: colours, normalisation, blending."""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.models.utils import (
    CutmixBlending,
    MixupBlending,
    RandomBatchAugment,
)
from mmaction.registry import MODELS
from mmengine.model import stack_batch
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..errors import UserError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@MODELS.register_module()
class ClipDataPreprocessor(ActionDataPreprocessor):
    """An ``ActionDataPreprocessor`` that applies deferred colour changes.

    ``ClipColorJitter(deferred=True)`` and ``ClipGrayscale(deferred=True)``
    store their draws in the sample, as ``color_changes``. In training they
    are applied here: after the batch is on the device, before it is
    normalised and blended. Nothing is rounded between the operations, so a
    pixel differs from the worker's by 1 of 255 in the mean. Clips without
    ``color_changes`` stay unchanged, and all clips do in testing.

    Clips, labels and colour changes go to the device in copies that the
    host does not wait for. Samples stay on the host: reading a label there
    would wait for the device.

    Takes the arguments of ``ActionDataPreprocessor``; ``format_shape`` is
    'NCTHW' or 'NCHW', and the input channels are RGB, which ``to_rgb``
    reverses, after the colour changes.
    """

    def cast_data(self, data):
        """Move the clips to the device, and leave the samples."""
        if isinstance(data, BaseDataElement):
            return data
        if torch.is_tensor(data):
            return data.to(self.device, non_blocking=True)
        return super().cast_data(data)

    def preprocess(
        self, inputs: list[Tensor], data_samples: list, training: bool = False
    ) -> tuple:
        """Make a batch of clips, (V, 3, T, H, W) or (T, 3, H, W) uint8."""
        samples = data_samples or ()
        changes = [sample.get('color_changes', ()) for sample in samples]
        if training:
            move_labels(samples, self.device)
        if not training or not any(changes):
            return super().preprocess(inputs, data_samples, training)
        equal = len({clip.shape for clip in inputs}) == 1
        clips = torch.stack(inputs) if equal else stack_batch(inputs)
        clips = change_colors(clips.float(), changes)
        if self.to_rgb:
            clips = clips.flip(2)
        if self._enable_normalize:
            clips.sub_(self.mean).div_(self.std)
        if self.blending is not None:
            clips, data_samples = self.blending(clips, data_samples)
        return clips, data_samples


class Mixup(MixupBlending):
    """``MixupBlending`` with its indices on the device.

    MMAction2 indexes with a tensor of the host, for which PyTorch waits.
    """

    def do_blending(self, imgs: Tensor, label: Tensor) -> tuple:
        """Blend clips, (B, …), and soft labels, (B, K)."""
        ratio = self.beta.sample()
        other = to_device(torch.randperm(len(imgs)), imgs.device)
        return (
            ratio * imgs + (1 - ratio) * imgs[other, :],
            ratio * label + (1 - ratio) * label[other, :],
        )


class Cutmix(CutmixBlending):
    """``CutmixBlending`` with its indices on the device."""

    def do_blending(self, imgs: Tensor, label: Tensor) -> tuple:
        """Blend clips, (B, …, H, W), in place, and soft labels, (B, K)."""
        other = to_device(torch.randperm(len(imgs)), imgs.device)
        ratio = self.beta.sample()
        left, top, right, bottom = self.rand_bbox(imgs.shape, ratio)
        box = (..., slice(top, bottom), slice(left, right))
        imgs[(slice(None), *box)] = imgs[(other, *box)]
        height, width = imgs.shape[-2:]
        area = 1.0 * (right - left) * (bottom - top)
        ratio = 1 - area / (width * height)
        return imgs, ratio * label + (1 - ratio) * label[other, :]


@MODELS.register_module()
class MixupOrCutmix(RandomBatchAugment):
    """Mixup or CutMix per batch, each with probability 1/2.

    MMAction2's ``RandomBatchAugment`` of its ``MixupBlending`` and
    ``CutmixBlending``, with the same draws and results; the host does not
    wait for the device. The number of classes is set once and outside a
    list, so that a derived config can change it.

    Args:
        num_classes: Classes K, >= 2; labels become (B, K) with rows that sum
            to 1, or less if clips have no label. ``CheckedRunner`` replaces
            None by the head's number.
        mixup_alpha: Mixup draws its ratio from Beta(alpha, alpha); > 0.
        cutmix_alpha: The same for the area that CutMix keeps.

    Raises:
        UserError: If an argument is out of range; when called without a
            number of classes.
    """

    def __init__(
        self,
        num_classes: int | None = None,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
    ):
        if num_classes is not None and num_classes < 2:
            raise UserError(
                f'num_classes of MixupOrCutmix is {num_classes}; give 2 or '
                'more classes (model.cls_head.num_classes), or remove '
                'model.data_preprocessor.blending'
            )
        for name, alpha in (('mixup', mixup_alpha), ('cutmix', cutmix_alpha)):
            if not 0 < alpha < math.inf:
                raise UserError(
                    f'{name}_alpha of MixupOrCutmix is {alpha}; give a number '
                    'above 0; for one of the two alone, set model.'
                    'data_preprocessor.blending to MixupBlending or '
                    'CutmixBlending'
                )
        super().__init__([dict(type='MixupBlending', num_classes=num_classes)])
        self.augments = [
            Mixup(num_classes, mixup_alpha),
            Cutmix(num_classes, cutmix_alpha),
        ]

    def __call__(self, imgs: Tensor, batch_data_samples: list, **kwargs):
        """Blend a batch; the labels become soft.

        Labels may be on the device; they are not read on the host. A clip
        without a label (meta information ``unlabelled``) is blended like
        the others and adds nothing to a label: the row of a blend sums to
        the share of its labelled clips.
        """
        if self.num_classes is None:
            raise UserError(
                'MixupOrCutmix has no num_classes; train with '
                "runner_type='CheckedRunner', which takes it from "
                'model.cls_head, or set '
                'model.data_preprocessor.blending.num_classes'
            )
        for sample in batch_data_samples:
            if is_unlabelled(sample):
                none = sample.gt_label.new_zeros(self.num_classes)
                sample.set_gt_label(none)
            elif sample.gt_label.numel() == 1:
                soft = F.one_hot(sample.gt_label[0].long(), self.num_classes)
                sample.set_gt_label(soft)
        return super().__call__(imgs, batch_data_samples, **kwargs)


def change_colors(clips: Tensor, changes: Sequence[Sequence]) -> Tensor:
    """Apply to each clip of a batch its own colour changes.

    Clips that have the same operation at the same position of their list
    are changed together.

    Args:
        clips: (B, V, 3, T, H, W) or (B, T, 3, H, W) float RGB, 0 to 255;
            changed in place.
        changes: Per clip, pairs (operation, amount) in order; see
            :func:`dvfl_mmaction.datasets.clip_transforms.defer`.

    Returns:
        ``clips``.
    """
    steps = list(group_changes(changes))
    # One copy to the device for all indices and amounts.
    numbers = [number for _, chosen in steps for number in chosen.items()]
    table = to_device(torch.tensor(numbers, dtype=torch.float64), clips.device)
    parts = table.split([len(chosen) for _, chosen in steps]) if steps else ()
    for (name, _), part in zip(steps, parts, strict=True):
        indices, amounts = part.unbind(1)
        indices = indices.long()
        amounts = amounts.to(clips.dtype).view(-1, *[1] * (clips.dim() - 1))
        chosen = clips.index_select(0, indices)
        changed = CHANGES[name](chosen, amounts).clamp_(0, 255)
        clips.index_copy_(0, indices, changed)
    return clips


def group_changes(
    changes: Sequence[Sequence],
) -> Iterator[tuple[str, dict[int, float]]]:
    """Yield each operation with its amount per clip, in order."""
    for position in range(max(map(len, changes), default=0)):
        for name in CHANGES:
            chosen = {
                i: steps[position][1]
                for i, steps in enumerate(changes)
                if len(steps) > position and steps[position][0] == name
            }
            if chosen:
                yield name, chosen


def move_labels(data_samples: Sequence, device: torch.device):
    """Move the labels of a batch to the device, in one copy.

    Labels of different lengths are left where they are.
    """
    labels = [sample.get('gt_label') for sample in data_samples]
    if not all(torch.is_tensor(label) for label in labels) or not labels:
        return
    if len({(label.shape, label.dtype) for label in labels}) > 1:
        return
    moved = to_device(torch.stack(labels), device)
    for sample, label in zip(data_samples, moved, strict=True):
        sample.set_gt_label(label)


def is_unlabelled(sample: BaseDataElement) -> bool:
    """Whether a sample is marked as a clip without a label."""
    return bool(sample.get('unlabelled', False))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy small values from the host, without waiting for the device."""
    if device.type == 'cuda' and torch.cuda.is_available():
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


# Each takes clips, (N, V, 3, …), which it may change in place, and one factor
# or turn per clip, (N, 1, 1, …). The caller clamps the result.


def change_brightness(clips: Tensor, factors: Tensor) -> Tensor:
    return clips.mul_(factors)


def change_contrast(clips: Tensor, factors: Tensor) -> Tensor:
    mean = gray(clips).flatten(1).mean(1).view_as(factors)
    return clips.mul_(factors).add_((1 - factors) * mean)


def change_saturation(clips: Tensor, factors: Tensor) -> Tensor:
    grays = gray(clips)
    return clips.mul_(factors).add_((1 - factors) * grays)


def change_hue(clips: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue; value and chroma stay."""
    value, strongest = clips.max(dim=2, keepdim=True)
    chroma = value - clips.amin(dim=2, keepdim=True)
    red, green, blue = clips.unbind(2)
    # Hue, counted from red in sixths of the circle.
    sector = 2 * strongest + torch.stack(
        [green - blue, blue - red, red - green], dim=2
    ).gather(2, strongest) / chroma.clamp(min=1e-6)
    sector += 6 * turns
    # The difference of a channel from the value: 0 near its own sector, the
    # whole chroma on the opposite side.
    for channel, start in enumerate((5, 3, 1)):
        k = (sector + start).remainder_(6)
        deficit = torch.minimum(k, 4 - k).clamp_(0, 1).mul_(chroma)
        torch.sub(value, deficit, out=clips.narrow(2, channel, 1))
    return clips


def gray(clips: Tensor) -> Tensor:
    """(N, V, 3, …) -> (N, V, 1, …)."""
    red, green, blue = clips.split(1, dim=2)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


CHANGES = dict(
    brightness=change_brightness,
    contrast=change_contrast,
    saturation=change_saturation,
    hue=change_hue,
)
