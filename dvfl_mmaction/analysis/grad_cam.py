"""Grad-CAM of the layers inside a Video-FocalNet."""

import torch
from mmaction.utils import GradCAM
from torch import nn

from ..errors import UserError


class LayerGradCAM(GradCAM):
    """MMAction2's ``GradCAM``, also for layers that see frames separately.

    MMAction2 takes layers with (B, C, T, H, W) outputs, of which a
    Video-FocalNet has one, ``backbone``. This class also takes layers with
    (B*T, H, W, C) outputs: ``backbone/layers/I`` (a stage),
    ``backbone/layers/I/blocks/J``, and a block's ``modulation``, ``mlp``,
    ``norm1`` and ``norm2``.

    Args:
        model: A 3D recognizer.
        target_layer_name: Path of the layer, its parts divided by ``/``.
        colormap: Matplotlib's name of the colours.

    Raises:
        UserError: If there is no such layer; in a call, if its output has
            another shape.
    """

    def _register_hooks(self, layer_name: str):
        try:
            layer = self.model.get_submodule(layer_name.replace('/', '.'))
        except AttributeError as error:
            raise UserError(
                f'the model has no layer {layer_name!r} ({error}); give, for '
                "example, 'backbone' or 'backbone/layers/2/blocks/0'"
            ) from error
        backbone = self.model.backbone

        def keep_batch(module, args):
            self.batch_size = len(args[0])

        def keep_output(module, args, output):
            if not is_map(module, output):
                raise UserError(
                    f'the output of {layer_name} is neither (B*T, H, W, C) '
                    "nor (B, C, T, H, W); give 'backbone' or a block, for "
                    "example 'backbone/layers/2/blocks/0'"
                )
            if output.requires_grad:
                output.register_hook(keep_gradients)
            self.target_activations = self._with_frames(output.detach())

        def keep_gradients(gradients):
            self.target_gradients = self._with_frames(gradients)

        backbone.register_forward_pre_hook(keep_batch)
        layer.register_forward_hook(keep_output)

    def _with_frames(self, x):
        """(B*T, H, W, C) or (B, C, T, H, W) -> (B, C, T, H, W)."""
        if x.dim() == 4:
            x = x.unflatten(0, (self.batch_size, -1)).permute(0, 4, 1, 2, 3)
        return x.contiguous()


def is_map(layer: nn.Module, output) -> bool:
    """Check whether an output is (B*T, H, W, C) or (B, C, T, H, W)."""
    if not torch.is_tensor(output):
        return False
    channels_first = isinstance(layer, nn.Conv2d)  # (B*T, C, H, W)
    return output.dim() == 5 or (output.dim() == 4 and not channels_first)
