"""Turns the student's clips into clips of the teacher's format."""

import logging
from collections.abc import Container

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import UserError
from ..models.data_preprocessor import LUMA
from .clip_format import ClipFormat, layout_of


class TeacherInput(nn.Module):
    """The teacher's view of the student's clips, after blending.

    The clips are returned as they are, the very tensor, if teacher and
    student agree. Otherwise, in this order:

    1. frames: :func:`resample_frames`;
    2. size: :func:`resize_frames`;
    3. colours: the student's normalisation is undone and the teacher's is
       applied; channels are reversed if only one of the two has
       ``to_rgb``; see :class:`ColorConversion`;
    4. layout: (B, V, C, T, H, W) for a 3D recognizer, (B, T, C, H, W) for
       a 2D one. The views of a clip become clips of their own.

    All of it is linear, so it commutes with blending. Differences in frames
    and size are logged at the first batch that has them.

    Args:
        student: The recognizer that gives the clips.
        teacher: The recognizer that takes them.
        trained: Frames and size that the teacher was trained on; what is
            None stays as the student has it.
        asked: Fields of ``trained`` that the user set: they are logged as
            information, not as a warning.
        name: The teacher's name in log lines and errors.

    Raises:
        UserError: If the channels cannot be converted, or the teacher takes
            other inputs than clips.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        trained: ClipFormat,
        asked: Container[str] = (),
        name: str = '',
    ):
        super().__init__()
        self.name = f'the teacher {name}'.rstrip()
        self.source, self.target = layout_of(student), layout_of(teacher)
        self.trained, self.asked = trained, asked
        self.colors = color_conversion(student, teacher, self.name)
        self._seen = set()

    def forward(self, inputs: Tensor) -> Tensor:
        """Convert a batch of the student's, (B, V, C, T, H, W) or
        (B, T, C, H, W)."""
        if self.source == 'NCTHW':
            clips = inputs.flatten(0, 1)  # (B, V, C, ...) -> (B*V, C, ...)
        else:
            clips = inputs.transpose(1, 2)  # -> (B, C, T, H, W)
        self._report(clips.shape)
        converted = resample_frames(clips, self.trained.num_frames)
        converted = resize_frames(converted, self.trained.size)
        if self.colors is not None:
            converted = self.colors(converted)
        if converted is clips and self.source == self.target:
            return inputs
        if self.target == 'NCTHW':
            return converted.unsqueeze(1).contiguous()
        return converted.transpose(1, 2).contiguous()

    def changes_of(self, own: ClipFormat) -> dict:
        """What differs from the student's clips, by name, as plain values.

        Args:
            own: Frames and size of the student's clips, if known.
        """
        changes = {
            field: to_list(value)
            for field, value in vars(self.trained).items()
            if value not in (None, getattr(own, field))
        }
        if self.source != self.target:
            changes['layout'] = self.target
        if self.colors is not None:
            changes['colors'] = self.colors.describe()
        return changes

    def _report(self, shape: torch.Size):
        given = tuple(shape[2:])
        if given in self._seen:
            return
        self._seen.add(given)
        frames, size = given[0], given[1:]
        for option, field, own in (
            ('num_frames', 'num_frames', frames),
            ('input_size', 'size', size),
        ):
            wanted = getattr(self.trained, field)
            if wanted is None or own == wanted:
                continue
            text = f'{option} {show(wanted)}, the student has {show(own)}'
            if field in self.asked:
                print_log(
                    f'{self.name} gets {text}: its clips are resampled',
                    logger='current',
                )
                continue
            print_log(
                f'{self.name} was trained with {text}: the clips are '
                f'resampled for the teacher; set teacher.{option} to either '
                'value to confirm or to skip it',
                logger='current',
                level=logging.WARNING,
            )


def to_list(value):
    """A list for a tuple, as JSON has it; other values unchanged."""
    return list(value) if isinstance(value, tuple) else value


def show(value) -> str:
    """A number, or (height, width) as HxW."""
    return 'x'.join(map(str, value)) if isinstance(value, tuple) else value


def resample_frames(clips: Tensor, num_frames: int | None) -> Tensor:
    """Take the frame at the middle of each of ``num_frames`` equal parts.

    Frame i is the student's frame floor((i + 1/2) * T / num_frames): frames
    are repeated or left out, never mixed.

    Args:
        clips: (N, C, T, H, W).
        num_frames: None, or T, returns the clips themselves.
    """
    given = clips.shape[2]
    if num_frames is None or num_frames == given:
        return clips
    middles = 2 * torch.arange(num_frames, device=clips.device) + 1
    return clips.index_select(2, middles * given // (2 * num_frames))


def resize_frames(clips: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Resize to (height, width): bilinear, with a wider filter to shrink.

    The filter is PIL's: a triangle as wide as the step between the output's
    pixels, at least one pixel of the input. The aspect ratio is not kept.

    Args:
        clips: (N, C, T, H, W), floating point.
        size: None, or (H, W), returns the clips themselves.
    """
    if size is None or tuple(clips.shape[3:]) == tuple(size):
        return clips
    frames = clips.transpose(1, 2)  # (N, C, T, H, W) -> (N, T, C, H, W)
    resized = F.interpolate(
        frames.flatten(0, 1), size=size, mode='bilinear', antialias=True
    )
    return resized.unflatten(0, frames.shape[:2]).transpose(1, 2)


class ColorConversion(nn.Module):
    """Per channel ``x * scale + shift``; one channel may become three.

    Args:
        scale: Factor per channel, (C,).
        shift: Summand per channel, (C,).
        reverse: Whether the order of the channels is reversed first.
        total: Whether the channels are summed up last: grey of RGB.
    """

    def __init__(
        self, scale: Tensor, shift: Tensor, reverse: bool, total: bool
    ):
        super().__init__()
        for name, value in (('scale', scale), ('shift', shift)):
            value = value.float().view(-1, 1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.reverse, self.total = reverse, total

    def forward(self, clips: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, C', T, H, W)."""
        clips = clips.flip(1) if self.reverse else clips
        clips = clips * self.scale + self.shift
        return clips.sum(1, keepdim=True) if self.total else clips

    def describe(self) -> dict:
        """All of it as plain values."""
        return dict(
            scale=self.scale.flatten().tolist(),
            shift=self.shift.flatten().tolist(),
            reverse=self.reverse,
            total=self.total,
        )


def color_conversion(
    student: nn.Module, teacher: nn.Module, name: str
) -> ColorConversion | None:
    """Conversion of the student's channels; None if they agree.

    Differences are logged as a warning. A grey clip becomes RGB of three
    equal channels, and an RGB clip grey by the luma of ITU-R BT.601.

    Raises:
        UserError: If the numbers of channels cannot be converted.
    """
    given, wanted = channels_of(student), channels_of(teacher)
    converts = given != wanted and None not in (given, wanted)
    if converts:
        if (given, wanted) not in ((1, 3), (3, 1)):
            raise UserError(
                f'{name} takes {wanted} channels but the student has '
                f'{given}; give a teacher of the same input (only grey and '
                'RGB are converted)'
            )
        warn(name, 'input channels', wanted, given)
    for key in ('mean', 'std', 'to_rgb'):
        trained, own = (
            to_plain_value(getattr(model.data_preprocessor, key, None))
            for model in (teacher, student)
        )
        if trained != own:
            warn(name, f'data_preprocessor.{key}', trained, own)
            converts = True
    if not converts:
        return None
    mean, std, to_rgb = normalization(student)
    teachers_mean, teachers_std, teachers_to_rgb = normalization(teacher)
    reverse = to_rgb != teachers_to_rgb
    if reverse:
        mean, std = mean.flip(0), std.flip(0)
    total = (given, wanted) == (3, 1)
    luma = 1.0
    if total:
        luma = torch.tensor(LUMA, dtype=torch.float64)
        # The weights are of RGB, and to_rgb leaves pipelines' RGB as BGR.
        luma = luma.flip(0) if teachers_to_rgb else luma
        teachers_mean = teachers_mean / 3  # one third for each summand
        shift = (luma * mean - teachers_mean) / teachers_std
    else:
        shift = (mean - teachers_mean) / teachers_std
    scale = luma * std / teachers_std
    if (given, wanted) == (1, 3):
        scale = scale.expand(3)  # also if all channels have one mean
    return ColorConversion(scale, shift, reverse, total)


def warn(name: str, key: str, trained, own):
    """Log that teacher and student differ in their colours."""
    print_log(
        f'{name} was trained with {key}={trained}, the student has '
        f'{own}: the clips are converted for the teacher',
        logger='current',
        level=logging.WARNING,
    )


def normalization(model: nn.Module) -> tuple[Tensor, Tensor, bool]:
    """Mean and deviation per channel, float64, and ``to_rgb``."""
    preprocessor = model.data_preprocessor
    mean, std = (
        torch.as_tensor(
            getattr(preprocessor, name, default), dtype=torch.float64
        )
        .flatten()
        .cpu()
        for name, default in (('mean', 0.0), ('std', 1.0))
    )
    return mean, std, bool(getattr(preprocessor, 'to_rgb', False))


def channels_of(model: nn.Module) -> int | None:
    """Channels that the first convolution of a recognizer takes, if any."""
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return module.in_channels
    return None


def to_plain_value(value):
    """Convert a tensor to a list of numbers; return other values unchanged."""
    return value.flatten().tolist() if torch.is_tensor(value) else value
