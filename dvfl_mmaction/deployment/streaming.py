"""Run a causal Video-FocalNet frame by frame."""

import torch
from mmaction.models.heads import I3DHead
from torch import Tensor, nn

from ..errors import UserError
from ..models import VideoFocalNet
from ..models.causal import History, running_mean
from ..models.pairing import check_window

State = tuple[Tensor, ...]


class StreamingModel(nn.Module):
    """A causal backbone and its head, as a function of a frame and a state.

    ``forward`` changes neither the module nor the state that it takes, and
    has no control flow that depends on values. Fed a clip frame by frame,
    it returns after each frame what the recognizer returns for the clip up
    to that frame. The head averages over the last ``temporal_window``
    frames; it agrees with a recognizer for clips of up to that length.

    Args:
        backbone: In the causal form.
        cls_head: An ``I3DHead``; None returns features.
    """

    def __init__(self, backbone: VideoFocalNet, cls_head=None):
        super().__init__()
        self.backbone = backbone
        self.cls_head = cls_head

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The state before the first frame: zeros.

        Args:
            batch: Streams B.
            height: Height of the frames, in pixels.
            width: Width of the frames, in pixels.

        Returns:
            Number of frames seen, (B,), at most ``temporal_window``; per
            layer along time its previous inputs, (B, n, H'*W', C), of the
            dtype of the weights; with a head, the previous pooled features,
            (B, n, 1, C). Filling the rows of one stream with 0 restarts it.
        """
        weight = self.backbone.patch_embed.proj.weight
        state = [weight.new_zeros(batch, dtype=torch.int64)]
        height, width = height // 4, width // 4
        for stage in self.backbone.layers:
            for block in stage.blocks:
                layer = block.modulation
                state += [
                    weight.new_zeros(batch, n, height * width, layer.channels)
                    for n in layer.history_lengths()
                ]
            height, width = height // 2, width // 2
        before = self.backbone.temporal_window - 1
        if self.cls_head is not None and before:
            channels = self.cls_head.in_channels
            state.append(weight.new_zeros(batch, before, 1, channels))
        return tuple(state)

    def forward(
        self, frame: Tensor, state: State
    ) -> tuple[Tensor | tuple[Tensor, ...], State]:
        """Process the next frame of each stream.

        Args:
            frame: Normalised, (B, C_in, H, W).
            state: From :meth:`initial_state` or the previous call.

        Returns:
            Class scores before the softmax, (B, K), or without a head the
            features of the frame, (B, C, H', W'), a tuple of them for
            several out_indices; and the next state.

        Raises:
            UserError: If the state is of frames of another size or number.
        """
        window = self.backbone.temporal_window
        history = History(state)
        out = self.backbone(frame, history)
        if self.cls_head is not None:
            pooled = out.mean((2, 3))[:, None, None]  # (B, 1, 1, C)
            pooled = running_mean(pooled, window, history)
            out = self.cls_head(pooled.movedim(3, 1)[..., None])
        return out, history.next_state(1, window)


def make_streaming(model: nn.Module) -> StreamingModel:
    """Make the frame-by-frame form of a causal recognizer or backbone.

    Args:
        model: A recognizer with an ``I3DHead`` for class scores, or a
            backbone for features. Its modules are shared and put into eval
            mode.

    Raises:
        UserError: If it has no causal Video-FocalNet, or parts that do not
            run frame by frame, or a head of another window.
    """
    is_backbone = isinstance(model, VideoFocalNet)
    backbone = model if is_backbone else getattr(model, 'backbone', None)
    if not isinstance(backbone, VideoFocalNet):
        raise UserError(
            f'{type(model).__name__} has no Video-FocalNet; give a '
            'recognizer with one, or the backbone'
        )
    if backbone.temporal_window is None:
        raise UserError(
            "the backbone has temporal='global', which needs whole clips; "
            "train it with model.backbone.temporal='causal'"
        )
    if is_backbone:
        return StreamingModel(backbone).eval()
    head = getattr(model, 'cls_head', None)
    pools = isinstance(head, I3DHead) and head.spatial_type == 'avg'
    if not pools or getattr(model, 'neck', None) is not None:
        raise UserError(
            f'{type(model).__name__} has a neck or the head '
            f'{type(head).__name__}; class scores of a stream need an I3DHead '
            "with spatial_type='avg' and no neck; pass model.backbone for "
            'features'
        )
    check_window(head, backbone)
    return StreamingModel(backbone, head).eval()
