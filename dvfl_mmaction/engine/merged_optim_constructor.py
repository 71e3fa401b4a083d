"""Parameter groups with equal options, merged into one."""

from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.optim import Optimizer


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, with one group per set of options.

    With ``paramwise_cfg`` MMEngine makes one group per parameter: 548 groups
    of one tensor for Video-FocalNet-B, each with its own kernels. Optimizer
    states of such groups are converted when they are loaded. Arguments and
    options are those of ``DefaultOptimWrapperConstructor``.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        self._order = []
        wrapper = super().__call__(model)
        order = self._order

        def merge_loaded(optimizer, state):
            return merge_state(optimizer, state, order)

        wrapper.optimizer.register_load_state_dict_pre_hook(merge_loaded)
        return wrapper

    def add_params(self, params, module, prefix='', **kwargs):
        super().add_params(params, module, prefix, **kwargs)
        if not prefix:  # all of the model has been added
            self.adjust_groups(params, module)
            self._order = [p for group in params for p in group['params']]
            params[:] = merge_groups(params)

    def adjust_groups(self, groups: list[dict], model: nn.Module):
        """Change the options of the groups, one per parameter, in place."""


def merge_groups(groups: list[dict]) -> list[dict]:
    """Merge groups whose options are equal, in order of appearance."""
    merged = {}
    for group in groups:
        options = {k: v for k, v in group.items() if k != 'params'}
        key = repr(sorted(options.items()))
        together = merged.setdefault(key, dict(options, params=[]))
        together['params'] += group['params']
    return list(merged.values())


def merge_state(optimizer: Optimizer, state: dict, order: list) -> dict:
    """Convert the state of an optimizer with one group per parameter.

    Args:
        optimizer: Has the merged groups.
        state: To be loaded; returned unchanged if it has other groups.
        order: Parameters in the order of the groups that were merged.

    Returns:
        The state for the optimizer's own groups.
    """
    saved = state['param_groups']
    if len(saved) == len(optimizer.param_groups) or len(saved) != len(order):
        return state
    before = {id(param): index for index, param in enumerate(order)}
    groups, states, count = [], {}, 0
    for group in optimizer.param_groups:
        old = [before[id(param)] for param in group['params']]
        new = range(count, count + len(old))
        count += len(old)
        groups.append(dict(saved[old[0]], params=list(new)))
        for source, target in zip(old, new, strict=True):
            if source in state['state']:
                states[target] = state['state'][source]
    return dict(state, state=states, param_groups=groups)
