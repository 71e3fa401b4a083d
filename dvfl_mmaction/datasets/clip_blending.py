"""Mixup or CutMix of a batch of clips."""

from mmaction.models.utils import RandomBatchAugment
from mmaction.registry import MODELS


@MODELS.register_module()
class MixupOrCutmix(RandomBatchAugment):
    """Mixup for one half of the batches, CutMix for the other.

    MMAction2's ``RandomBatchAugment`` of its ``MixupBlending`` and
    ``CutmixBlending``, with the number of classes given once and outside a
    list, so that a derived config can set it.

    Args:
        num_classes: Classes K; labels become (B, K), rows summing to 1.
        mixup_alpha: Mixup's share is drawn from Beta(alpha, alpha); > 0.
        cutmix_alpha: The same for the area that CutMix keeps.
    """

    def __init__(
        self,
        num_classes: int,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
    ):
        super().__init__(
            [
                dict(
                    type='MixupBlending',
                    num_classes=num_classes,
                    alpha=mixup_alpha,
                ),
                dict(
                    type='CutmixBlending',
                    num_classes=num_classes,
                    alpha=cutmix_alpha,
                ),
            ]
        )
