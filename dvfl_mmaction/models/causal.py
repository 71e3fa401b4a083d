"""The causal form along time, of whole clips and frame by frame.

In a clip, zeros stand in front of the first frame. In a stream, a
:class:`History` has the previous frames. Both run the same layers.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError


class History:
    """Previous frames of a stream, for one call of a causal network.

    The layers of the network read their tensors in the order in which they
    run.

    Args:
        state: Number of previous frames per stream, (B,), which stops at
            the window of the mean, then the previous inputs of each layer,
            (B, n, P, C). Zeros are the start of a stream.
    """

    def __init__(self, state: Sequence[Tensor]):
        self.count, *past = state
        self._past = iter(past)
        self._kept = []

    def extend(self, x: Tensor, num_frames: int) -> Tensor:
        """Put the previous ``num_frames`` frames in front of ``x``.

        The last ``num_frames`` are kept for the next call.

        Args:
            x: (B, T, P, C).
            num_frames: n, > 0.

        Returns:
            (B, n + T, P, C).

        Raises:
            UserError: If the state is of other streams.
        """
        past = next(self._past, None)
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            check_past(past, x)
        x = torch.cat([past, x], 1)
        self._kept.append(x[:, x.shape[1] - num_frames :])
        return x

    def next_state(self, num_frames: int, window: int) -> tuple[Tensor, ...]:
        """The state after ``num_frames`` frames."""
        count = (self.count + num_frames).clamp(max=window)
        return (count, *self._kept)


def check_past(past: Tensor | None, x: Tensor):
    """Refuse previous frames, (B, n, P, C), that do not fit (B, T, P, C).

    Raises:
        UserError: With the remedy.
    """
    remedy = 'begin with initial_state(batch, height, width) of these frames'
    if past is None:
        raise UserError(f'the state is of another model; {remedy}')
    sizes = [(len(t), t.shape[2]) for t in (past, x)]
    if sizes[0] != sizes[1]:
        of_state, of_frame = (f'{b} streams x {p} positions' for b, p in sizes)
        raise UserError(
            f'the state is of {of_state}, the frames are of {of_frame}; '
            f'{remedy}'
        )


def apply_causally(
    layer: nn.Sequential, x: Tensor, history: History | None = None
) -> Tensor:
    """Apply a layer along time to a frame and those before it.

    Args:
        layer: Its first module is an unpadded convolution of kernel size k.
        x: (B, C, T, P).
        history: None if ``x`` starts with the first frame.

    Returns:
        (B, C, T, P).
    """
    x = x.movedim(1, 3)  # channels last, as in memory
    num_frames = layer[0].kernel_size[0] - 1
    if num_frames and history is None:
        x = F.pad(x, (0, 0, 0, 0, num_frames, 0))
    elif num_frames:
        x = history.extend(x, num_frames)
    return layer(x.movedim(3, 1))


def running_mean(
    x: Tensor, window: int, history: History | None = None
) -> Tensor:
    """Mean over the last ``window`` frames, or over all of a shorter past.

    Args:
        x: (B, T, P, C).
        window: Frames, >= 1.
        history: None if ``x`` starts with the first frame.

    Returns:
        (B, T, P, C).
    """
    num_frames = x.shape[1]
    counts = torch.arange(1, num_frames + 1, device=x.device)
    if history is not None:
        counts = history.count[:, None] + counts
        if window > 1:
            x = history.extend(x, window - 1)
    counts = counts.clamp(max=window).view(-1, num_frames, 1, 1)
    # Sums of frames keep nothing for the backward pass, unlike a pooling.
    # None is obtained by subtraction, which would lose precision.
    sums = []
    frames = x.unbind(1)
    for i, frame in enumerate(frames):
        if i < window:
            sums.append(sums[-1] + frame if sums else frame)
        else:
            sums.append(sum(frames[i - window + 1 : i], frame))
    return torch.stack(sums[-num_frames:], 1) / counts
