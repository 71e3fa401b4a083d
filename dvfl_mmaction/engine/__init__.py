"""Runner, training loop and hooks that check and repeat a run."""

from .broken_clips_hook import BrokenClipsHook
from .checked_runner import CheckedRunner
from .layer_decay_optim_constructor import LayerDecayOptimWrapperConstructor
from .merged_optim_constructor import MergedOptimWrapperConstructor
from .stream_train_loop import StreamTrainLoop

__all__ = [
    'BrokenClipsHook',
    'CheckedRunner',
    'LayerDecayOptimWrapperConstructor',
    'MergedOptimWrapperConstructor',
    'StreamTrainLoop',
]
