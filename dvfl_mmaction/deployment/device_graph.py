"""The form of a recognizer that is exported: same weights, fewer operations.

From uint8 frames to probabilities. The normalisation is folded into the
stem, the affine map of a LayerNorm into the linear map that follows, the
projection of the temporal context into the first temporal convolution.
Nothing is split or gathered, maps are channels last, and no tensor between
input and output has more than four axes. The outputs are those of the
recognizer up to rounding.
"""

from functools import partial

import torch
from mmaction.models.heads import I3DHead
from torch import Tensor, nn

from ..distillation.binary_divergence import has_several_labels
from ..errors import UserError
from ..models import VideoFocalNet
from ..models.pairing import check_window
from .device_layers import (
    Block,
    Downsample,
    Stem,
    fold_affine,
    make_linear,
    without_affine,
)
from .device_time import ClipTime, StreamTime, shift_sums

State = tuple[Tensor, ...]


class DeviceGraph(nn.Module):
    """Stem, blocks and head; see :func:`make_device_graph`."""

    def __init__(self, recognizer: nn.Module, make_time):
        super().__init__()
        backbone, head = recognizer.backbone, recognizer.cls_head
        self.tubelet_size = backbone.tubelet_size
        self.stem = Stem(
            backbone.patch_embed,
            *normalisation_of(recognizer.data_preprocessor),
        )
        self.stages = nn.ModuleList()
        for stage in backbone.layers:
            layers = [Block(block, make_time) for block in stage.blocks]
            if stage.downsample is not None:
                layers.append(Downsample(stage.downsample))
            self.stages.append(nn.ModuleList(layers))
        (name,) = backbone.norm_names.values()
        norm, fc = getattr(backbone, name), head.fc_cls
        self.norm = without_affine(norm)
        # The mean over positions commutes with the affine map.
        self.fc = make_linear(
            *fold_affine(norm, fc.weight, fc.bias), fc.weight
        )
        self.several_labels = has_several_labels(head)

    def run(self, x: Tensor, *time_args) -> Tensor:
        """Frames (B*T', t*H, W, 3) uint8 -> features (B*T', H', W', C)."""
        x = self.stem(x)
        for stage in self.stages:
            for layer in stage:
                is_block = isinstance(layer, Block)
                x = layer(x, *time_args) if is_block else layer(x)
        return self.norm(x)

    def classify(self, pooled: Tensor) -> Tensor:
        """(B, C) -> probabilities, (B, K)."""
        scores = self.fc(pooled)
        return scores.sigmoid() if self.several_labels else scores.softmax(-1)


class ClipGraph(DeviceGraph):
    """Probabilities of whole clips."""

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, H, W, 3) uint8, RGB -> (B, K)."""
        batch, num_frames, height, width, _ = frames.shape
        steps = num_frames // self.tubelet_size
        x = frames.reshape(batch * steps, self.tubelet_size * height, width, 3)
        x = self.run(x, batch, steps)
        x = x.reshape(batch, -1, x.shape[-1])  # (B, T'*H'*W', C)
        return self.classify(x.mean(1))


class StreamGraph(DeviceGraph):
    """Probabilities after each frame of a stream.

    ``forward`` is a pure function of the frame and the state.
    """

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The state before the first frame: zeros.

        Args:
            batch: Streams B.
            height: Height of the frames, in pixels.
            width: Width of the frames, in pixels.

        Returns:
            Number of frames seen, (B,) int64, at most the window of the
            mean; per block its maps, (B, H', W', C), see
            :class:`.device_time.StreamTime`; sums of pooled features,
            (B, C). Zeros in the rows of one stream restart it.
        """
        like = self.fc.weight
        state = [like.new_zeros(batch, dtype=torch.int64)]
        height, width = height // 4, width // 4
        for stage in self.stages:
            for layer in stage:
                if isinstance(layer, Block):
                    shape = (batch, height, width, layer.proj.out_features)
                    state += [
                        like.new_zeros(shape)
                        for _ in range(layer.time.state_size())
                    ]
            height, width = height // 2, width // 2
        pooled = (batch, self.fc.in_features)
        state += [like.new_zeros(pooled) for _ in range(self.window - 1)]
        return tuple(state)

    @property
    def window(self) -> int:
        """Frames of the mean along time."""
        return self.stages[0][0].time.window

    def forward(self, frame: Tensor, *state: Tensor) -> State:
        """(B, H, W, 3) uint8 and the state -> (B, K) and the next state."""
        seen, *maps = state
        past, kept = iter(maps), []
        count = (seen + 1).clamp(max=self.window)
        divisor = count.to(self.fc.weight.dtype)
        x = self.run(frame, divisor.view(-1, 1, 1, 1), past, kept)
        pooled = x.mean((1, 2))
        sums = list(past)
        mean = shift_sums(sums, [pooled] * self.window, kept)
        mean = mean / divisor.view(-1, 1)
        return (self.classify(mean), count, *kept)


def make_device_graph(
    recognizer: nn.Module, clip_len: int | None = None, streaming=False
) -> ClipGraph | StreamGraph:
    """Make the device graph of a trained recognizer.

    Args:
        recognizer: A recognizer with a Video-FocalNet and an ``I3DHead``; a
            distiller is its student. Nothing in it changes.
        clip_len: Frames per clip; the projection before the first temporal
            convolution is folded into it, which fixes T. None keeps both,
            for clips of any length.
        streaming: Make the frame-by-frame form of a causal recognizer.

    Returns:
        A module in eval mode: uint8 frames (B, T, H, W, 3) in RGB to
        probabilities (B, K); in the streaming form, a frame (B, H, W, 3)
        and the state to probabilities and the next state. Multi-label
        heads give a sigmoid's, others a softmax's.

    Raises:
        UserError: If the recognizer has another backbone or head, a neck,
            several outputs, or frames that are not RGB; if clips may be
            longer than the window of the head; if ``clip_len`` is no multiple
            of the tubelet size; if ``streaming`` and the backbone is not
            causal, or the head has another window.
    """
    check_recognizer(recognizer, clip_len, streaming)
    with torch.no_grad():
        if streaming:
            return StreamGraph(recognizer, StreamTime).eval()
        steps = clip_len and clip_len // recognizer.backbone.tubelet_size
        make_time = partial(ClipTime, num_frames=steps)
        return ClipGraph(recognizer, make_time).eval()


def check_recognizer(recognizer, clip_len, streaming):
    """Reject what the device graph cannot express."""
    backbone = getattr(recognizer, 'backbone', None)
    head = getattr(recognizer, 'cls_head', None)
    if not isinstance(backbone, VideoFocalNet):
        raise UserError(
            f'{type(recognizer).__name__} has the backbone '
            f'{type(backbone).__name__}; only VideoFocalNet and VFLNetNano '
            'can be exported'
        )
    pools = isinstance(head, I3DHead) and head.spatial_type == 'avg'
    if not pools or getattr(recognizer, 'neck', None) is not None:
        raise UserError(
            f'{type(recognizer).__name__} has a neck or the head '
            f'{type(head).__name__}; export needs an I3DHead with '
            "spatial_type='avg' and no neck"
        )
    if len(backbone.out_indices) > 1:
        raise UserError(
            f'the backbone has the outputs {backbone.out_indices}; export '
            'needs one'
        )
    if backbone.in_channels != 3:
        raise UserError(
            f'the backbone takes {backbone.in_channels} channels; exported '
            'models take RGB frames'
        )
    window = getattr(head, 'temporal_window', None)
    if window and not streaming and not (clip_len and clip_len <= window):
        raise UserError(
            f'{type(head).__name__} averages over the last {window} frames, '
            f'but clips have {clip_len or "any number of"} frames; export '
            f'clips of at most {window} frames, or the frame-by-frame form '
            '(--streaming)'
        )
    if clip_len and clip_len % backbone.tubelet_size:
        raise UserError(
            f'clips have {clip_len} frames but tubelet_size is '
            f'{backbone.tubelet_size}; give a multiple of it'
        )
    if streaming and backbone.temporal_window is None:
        raise UserError(
            "the backbone has temporal='global', which needs whole clips; "
            "only a model trained with model.backbone.temporal='causal' runs "
            'frame by frame'
        )
    if streaming:
        check_window(head, backbone)


def normalisation_of(preprocessor) -> tuple:
    """Mean, standard deviation and reversal of channels of a preprocessor."""
    if not getattr(preprocessor, '_enable_normalize', False):
        mean = std = None
    else:
        mean, std = preprocessor.mean, preprocessor.std
    return mean, std, getattr(preprocessor, 'to_rgb', False)
