"""The frames of a clip that the model saw."""

import numpy as np
import torch
from torch import Tensor

from ...errors import UserError


def frames_of(inputs: Tensor) -> np.ndarray:
    """RGB frames of the middle view that a pipeline made of a clip.

    Args:
        inputs: (V, 3, T, H, W) of a 3D recognizer or (T, 3, H, W) of a 2D
            one, uint8.

    Returns:
        (T, H, W, 3) uint8.

    Raises:
        UserError: If the clip is not RGB.
    """
    if inputs.dim() == 5:
        # Crops are the outer dimension of the views: the middle one is the
        # centre crop.
        inputs = inputs[len(inputs) // 2].transpose(0, 1)
    if (
        inputs.dim() != 4
        or inputs.shape[1] != 3
        or (inputs.dtype != torch.uint8)
    ):
        raise UserError(
            f"the config's clips of shape {tuple(inputs.shape)} are not RGB "
            'frames, and no picture can be drawn; leave out --out and --sheet'
        )
    return inputs.permute(0, 2, 3, 1).numpy()
