"""Record the modulators of a Video-FocalNet by forward hooks."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from ...errors import UserError
from ...models import VideoFocalNet
from ...models.focal_modulation import FocalModulation

# The modulator of space m_s, that of time m_t, and m_s * m_t.
KINDS = ('space', 'time', 'product')
# Of a stage and a kind: the magnitude at each position, (N, H, W).
Maps = dict[int, dict[str, Tensor]]


def magnitude(modulator: Tensor) -> Tensor:
    """L2 norm over channels, (N, C, H, W) -> (N, H, W).

    The papers' figures do not state how channels are reduced. Keras' example
    of focal modulation, which FocalNet's first author reviewed, takes this
    norm, after the last block of a stage, and upsamples it bilinearly
    (https://keras.io/examples/vision/focal_modulation_network).
    """
    return modulator.float().norm(dim=1)


@contextmanager
def record_modulators(
    backbone: nn.Module, stages: Iterable[int]
) -> Iterator[Maps]:
    """Record the last block of stages, as long as the context is open.

    The outputs of the network do not change. A later forward pass replaces
    the maps of an earlier one.

    Args:
        backbone: A Video-FocalNet of either temporal form.
        stages: Their numbers, from 1.

    Yields:
        The maps, on the model's device; N is B * T, in the order of the
        frames.

    Raises:
        UserError: If there is no such stage, or no focal modulation.
    """
    maps, handles = {}, []
    try:
        for stage in check_stages(backbone, stages):
            block = backbone.layers[stage - 1].blocks[-1]
            handles += record_block(block.modulation, maps, stage)
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def check_stages(
    backbone: nn.Module, stages: Iterable[int] | None = None
) -> list[int]:
    """Numbers of stages; all by default.

    Raises:
        UserError: As :func:`record_modulators`.
    """
    if not isinstance(backbone, VideoFocalNet):
        raise UserError(
            f'the backbone {type(backbone).__name__} has no focal '
            'modulation; give a config with VideoFocalNet or VFLNetNano'
        )
    count = len(backbone.layers)
    chosen = sorted(set(stages or range(1, count + 1)))
    for stage in chosen:
        if not 1 <= stage <= count:
            raise UserError(
                f'--stages {stage}: the model has the stages 1 to {count}; '
                'give some of them'
            )
    return chosen


def record_block(modulation: FocalModulation, maps: Maps, stage: int) -> list:
    """Register the hooks of one block, and return their handles."""
    held = {}

    def keep_space(module, args, output):
        held['space'] = output  # (B*T, C, H, W)

    def keep_time(module, args, output):
        held['time'] = output  # (B, C, T, H*W)

    def combine(module, args, output):
        space, time = held.pop('space'), held.pop('time')
        # (B, C, T, H*W) -> (B*T, C, H, W)
        time = time.transpose(1, 2).flatten(0, 1)
        time = time.unflatten(-1, space.shape[-2:])
        parts = dict(space=space, time=time, product=space * time)
        maps[stage] = {kind: magnitude(parts[kind]) for kind in KINDS}

    return [
        modulation.h.register_forward_hook(keep_space),
        modulation.h_temporal.register_forward_hook(keep_time),
        modulation.register_forward_hook(combine),
    ]
