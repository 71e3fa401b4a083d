"""Losses on the labels of batches in which clips have none.

The data set marks such samples with the meta information ``unlabelled``, so
that the host knows them without reading labels from the device.
"""

import torch
from mmaction.models.losses import CrossEntropyLoss
from torch import Tensor, nn

from ..errors import UserError
from ..models.data_preprocessor import is_unlabelled, to_device


def label_losses(head: nn.Module, logits: Tensor, data_samples: list) -> dict:
    """The head's losses and accuracies, over the labelled clips.

    If all clips are labelled, this is ``head.loss_by_feat``. Otherwise hard
    labels and their clips are selected. Blended ones are not: each clip
    counts by the shares of its labelled parts, and the sum is divided by the
    number of labelled clips of the batch. Blending shows each clip once,
    distributed over the blends, so this is the labelled part of the usual
    loss. Without any labelled clip ``loss_cls`` is 0.

    Args:
        head: MMAction2's head.
        logits: (B, K).
        data_samples: B samples with labels, hard or soft.

    Raises:
        UserError: If blended labels need another loss than
            ``CrossEntropyLoss``.
    """
    rows = [i for i, s in enumerate(data_samples) if not is_unlabelled(s)]
    if len(rows) == len(data_samples):
        return head.loss_by_feat(logits, data_samples)
    if not rows:
        # Part of the graph, as DDP expects it.
        return dict(loss_cls=0 * logits.sum())
    if are_hard(data_samples):
        chosen = to_device(torch.tensor(rows), logits.device)
        return head.loss_by_feat(
            logits.index_select(0, chosen), [data_samples[i] for i in rows]
        )
    labels = torch.stack([sample.gt_label for sample in data_samples])
    labels = labels.to(logits.device, logits.dtype)
    return dict(loss_cls=blended_loss(head, logits, labels, len(rows)))


def blended_loss(
    head: nn.Module, logits: Tensor, labels: Tensor, num_labelled: int
) -> Tensor:
    """Cross-entropy of blends, per labelled clip.

    - sum_bk y_bk log q_bk / ``num_labelled``, with the head's label
    smoothing, on the labelled shares, and its class weights, which also
    weight the divisor.

    Args:
        head: MMAction2's head with ``CrossEntropyLoss``.
        logits: (B, K).
        labels: Shares of the classes, (B, K); rows sum to the share of the
            clip that is labelled.
        num_labelled: Labelled clips of the batch before blending, >= 1.

    Raises:
        UserError: If the head has another loss.
    """
    loss_cls = head.loss_cls
    if type(loss_cls) is not CrossEntropyLoss:
        raise UserError(
            f'loss_cls is {type(loss_cls).__name__}, but blended clips '
            'without a label need CrossEntropyLoss; set model.cls_head.'
            "loss_cls.type='CrossEntropyLoss', or remove model."
            'data_preprocessor.blending'
        )
    if eps := head.label_smooth_eps:
        even = labels.sum(-1, keepdim=True) / labels.shape[-1]
        labels = (1 - eps) * labels + eps * even
    divisor = num_labelled
    if loss_cls.class_weight is not None:
        labels = labels * loss_cls.class_weight.to(labels)
        divisor = labels.sum()
    loss = -(labels * logits.log_softmax(-1)).sum() / divisor
    return loss_cls.loss_weight * loss


def soft_targets(data_samples: list, num_classes: int, like: Tensor) -> Tensor:
    """Labels of a batch as shares of the classes.

    Args:
        data_samples: B samples with labels, hard or soft.
        num_classes: K.
        like: Has the wanted device and data type.

    Returns:
        (B, K); a row sums to the share of the clip that is labelled.
    """
    labels = torch.stack([sample.gt_label for sample in data_samples])
    labels = labels.to(like.device)
    if not are_hard(data_samples):
        return labels.to(like.dtype)
    classes = torch.arange(num_classes, device=like.device)
    return (labels == classes).to(like.dtype)  # -1, no label, equals none


def are_hard(data_samples: list) -> bool:
    """Whether labels are numbers of classes, (1,), instead of (K,)."""
    return all(sample.gt_label.numel() == 1 for sample in data_samples)
