"""A head that learns to answer after every frame of a clip."""

import torch
from mmaction.models.heads import I3DHead
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..errors import UserError
from .causal import running_mean


@MODELS.register_module()
class EveryFrameHead(I3DHead):
    """``I3DHead`` of a causal backbone, with a loss after every frame.

    The scores after frame t are those of the mean of the features of the
    last ``temporal_window`` frames up to t, as in a stream. The losses are
    means over all frames of all clips. Predictions are the scores after the
    last frame; samples also get ``frame_scores``, (T, K), of all frames,
    averaged over the views, from which ``ClipMetric`` reports the accuracy
    by the number of frames seen. Weights have the names and shapes of
    ``I3DHead``.

    Args:
        temporal_window: Frames of the mean, >= 1; that of the backbone.
        kwargs: Arguments of ``I3DHead``.

    Raises:
        UserError: If an argument is out of range.
    """

    def __init__(self, *args, temporal_window: int = 8, **kwargs):
        super().__init__(*args, **kwargs)
        if temporal_window < 1:
            raise UserError(
                f'model.cls_head.temporal_window is {temporal_window}; give '
                'that of the backbone, 1 or more'
            )
        if self.spatial_type != 'avg':
            raise UserError(
                f'EveryFrameHead has spatial_type={self.spatial_type!r}; it '
                "averages the features: set spatial_type='avg'"
            )
        self.temporal_window = temporal_window

    def frame_scores(self, x: Tensor) -> Tensor:
        """Scores after each frame, (B, C, T, H, W) -> (B, T, K)."""
        pooled = x.mean((3, 4)).transpose(1, 2)[:, :, None]  # (B, T, 1, C)
        pooled = running_mean(pooled, self.temporal_window)[:, :, 0]
        if self.dropout is not None:
            pooled = self.dropout(pooled)
        return self.fc_cls(pooled)

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        """Scores after the last frame, (B, C, T, H, W) -> (B, K)."""
        return super().forward(x[:, :, -self.temporal_window :])

    def loss(self, feats: Tensor, data_samples: list, **kwargs) -> dict:
        """Losses and accuracies, means over the frames of B clips."""
        return self.loss_by_feat(
            *scores_to_learn(self, feats, data_samples, **kwargs)
        )

    def predict(self, feats: Tensor, data_samples: list, **kwargs) -> list:
        """Scores after the last frame and after each frame."""
        by_frame = self.frame_scores(feats)  # (B V, T, K)
        # In bfloat16, close scores would be equal, which counts as wrong.
        dtype = torch.promote_types(by_frame.dtype, torch.float32)
        by_frame = by_frame.to(dtype)
        self.predict_by_feat(by_frame[:, -1], data_samples)
        if self.average_clips is None:
            return data_samples
        views = len(by_frame) // len(data_samples)
        averages = [self.average_clip(x, views) for x in by_frame.unbind(1)]
        averages = torch.stack(averages, 1)  # (B, T, K)
        for sample, scores in zip(data_samples, averages, strict=True):
            sample.set_field(scores, 'frame_scores', dtype=Tensor)
        return data_samples


def scores_to_learn(
    head: nn.Module, feats: Tensor, data_samples: list, **kwargs
) -> tuple[Tensor, list]:
    """The scores that a loss compares, each with its sample.

    Args:
        head: MMAction2's head.
        feats: What it takes, of B clips.
        data_samples: B samples.
        kwargs: Further arguments of the head.

    Returns:
        Scores (B, K) and the samples; of :class:`EveryFrameHead`, those
        after each frame, (B T, K), with each sample T times.
    """
    if not isinstance(head, EveryFrameHead):
        return head(feats, **kwargs), data_samples
    scores = head.frame_scores(feats)
    samples = [s for s in data_samples for _ in range(scores.shape[1])]
    return scores.flatten(0, 1), samples


def repeat_rows(x: Tensor, num_rows: int) -> Tensor:
    """Repeat each of B rows, (B, K) -> (num_rows, K), as the scores are."""
    return torch.repeat_interleave(x, num_rows // len(x), 0)
