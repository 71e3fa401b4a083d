"""A learning rate that falls from the head to the stem."""

import re

from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from ..errors import UserError, suggestion
from ..models import VideoFocalNet
from .merged_optim_constructor import MergedOptimWrapperConstructor

DECAY_TYPES = ('layer_wise', 'stage_wise')
# Keys of paramwise_cfg that MMEngine's constructor reads.
MMENGINE_KEYS = (
    'custom_keys',
    'bias_lr_mult',
    'bias_decay_mult',
    'norm_decay_mult',
    'dwconv_decay_mult',
    'flat_decay_mult',
    'dcn_offset_lr_mult',
    'bypass_duplicate',
)
BLOCK = re.compile(r'layers\.(\d+)\.(?:blocks\.(\d+)|downsample)\.')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(MergedOptimWrapperConstructor):
    """Layer-wise decay of the learning rate for Video-FocalNet.

    The learning rate of a parameter is that of MMEngine's constructor times
    ``decay_rate ** (last - layer)``: see :func:`layer_of`. MMEngine's options
    of ``paramwise_cfg`` apply as usual: those of norms and biases,
    ``custom_keys``. Groups of equal options are merged.

    ``paramwise_cfg`` also takes:

    - ``decay_rate``: Factor per layer, in (0, 1].
    - ``decay_type``: ``'layer_wise'`` counts blocks (default),
      ``'stage_wise'`` counts stages.

    Raises:
        UserError: If a key is unknown or out of range, or if the model has
            no Video-FocalNet.
    """

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        options = dict(paramwise_cfg or {})
        known = ('decay_rate', 'decay_type', *MMENGINE_KEYS)
        for key in set(options) - set(known):
            raise UserError(
                f'paramwise_cfg has no key {key!r}'
                + suggestion(key, known, f'; it has {", ".join(known)}')
            )
        rate = options.get('decay_rate')
        if not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise UserError(
                f'paramwise_cfg.decay_rate is {rate!r}; give a factor per '
                'layer in (0, 1], for example 0.75'
            )
        kind = options.get('decay_type', 'layer_wise')
        if kind not in DECAY_TYPES:
            raise UserError(
                f'paramwise_cfg.decay_type is {kind!r}; give one of '
                f'{", ".join(DECAY_TYPES)}'
            )
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

    def adjust_groups(self, groups: list[dict], model: nn.Module):
        """Scale the learning rate of each group, which has one parameter."""
        rate = self.paramwise_cfg['decay_rate']
        by_stage = self.paramwise_cfg.get('decay_type') == 'stage_wise'
        prefix, backbone = find_backbone(model)
        depths = [len(stage.blocks) for stage in backbone.layers]
        if by_stage:
            depths = [1] * len(depths)
        names = {id(param): name for name, param in model.named_parameters()}
        last = sum(depths) + 1
        for group in groups:
            (param,) = group['params']
            layer = last
            if names[id(param)].startswith(prefix):
                name = names[id(param)].removeprefix(prefix)
                layer = layer_of(name, depths)
            lr = group.get('lr', self.base_lr)
            group['lr'] = lr * rate ** (last - layer)


def find_backbone(model: nn.Module) -> tuple[str, VideoFocalNet]:
    """Return the first Video-FocalNet of a model, and its names' prefix.

    Raises:
        UserError: If there is none.
    """
    for name, module in model.named_modules():
        if isinstance(module, VideoFocalNet):
            return name and f'{name}.', module
    found = type(getattr(model, 'backbone', model)).__name__
    raise UserError(
        'LayerDecayOptimWrapperConstructor takes VideoFocalNet but the '
        f'backbone is {found}; set another optim_wrapper.constructor'
    )


def layer_of(name: str, depths: list[int]) -> int:
    """Number of the layer that a parameter of the backbone belongs to.

    The stem is layer 0 and the blocks follow from 1 on. A downsampling
    belongs to the block after it. The norms of the outputs, as the head,
    are the last layer, ``sum(depths) + 1``.

    Args:
        name: Name of the parameter in the backbone.
        depths: Layers per stage: its blocks, or 1 to count stages.
    """
    if name.startswith('patch_embed.'):
        return 0
    match = BLOCK.match(name)
    if not match:
        return sum(depths) + 1
    stage, block = int(match[1]), match[2]
    before = sum(depths[:stage])
    if block is None:
        return before + depths[stage] + 1
    return before + min(int(block), depths[stage] - 1) + 1
