"""The weights that a training starts from."""

from mmengine.logging import print_log
from torch import nn

from ..models import VideoFocalNet
from ..models.pretrained import find_pretrained


def prepare_pretrained(model: nn.Module, checkpoint: str | None):
    """Find the pretrained weights of a training before its data are read.

    Args:
        model: The model; ``pretrained`` of its backbone is found, and
            downloaded if it is a name.
        checkpoint: The checkpoint that the training loads or resumes, or
            None. It replaces every weight, so ``pretrained`` is then left
            out.

    Raises:
        UserError: If the weights are not found.
    """
    for module in model.modules():
        if not isinstance(module, VideoFocalNet) or not module.pretrained:
            continue
        if checkpoint is None:
            find_pretrained(module.pretrained)
            continue
        print_log(
            f'pretrained={module.pretrained!r} is not read: the weights come '
            f'from {checkpoint}',
            logger='current',
        )
        module.pretrained = None
