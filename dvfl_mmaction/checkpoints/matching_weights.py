"""Compare the weights of a checkpoint with those of a model."""

from collections.abc import Mapping

from torch import Tensor, nn

from ..errors import UserError

SHOWN = 3  # weights named in a message


def weights_of(checkpoint: Mapping) -> dict[str, Tensor]:
    """The weights of a checkpoint by a model's names."""
    weights = checkpoint.get('state_dict', checkpoint)
    return {name.removeprefix('module.'): w for name, w in weights.items()}


def describe_mismatch(weights: Mapping[str, Tensor], model: nn.Module) -> str:
    """Describe how weights differ from those of a model.

    MMEngine's loader only logs what is missing, unexpected or of another
    shape; what is not loaded keeps its random initialisation.

    Returns:
        The first weights that differ, with the number of the others; '' if
        names and shapes are the model's.
    """
    own = model.state_dict()
    problems = [f'{k} is missing' for k in own.keys() - weights.keys()]
    problems += [f'{k} is unexpected' for k in weights.keys() - own.keys()]
    problems += [
        f'{k} is {tuple(weights[k].shape)}, not {tuple(own[k].shape)}'
        for k in own.keys() & weights.keys()
        if weights[k].shape != own[k].shape
    ]
    more = len(problems) - SHOWN
    shown = '; '.join(sorted(problems)[:SHOWN])
    return f'{shown}; {more} more' if more > 0 else shown


def check_fit(
    weights: Mapping[str, Tensor], model: nn.Module, path: str, name: str
):
    """Reject weights that are not exactly those of a model.

    Args:
        weights: The weights by the model's names.
        model: The model that loads them.
        path: Their file, for the error.
        name: The model's config, for the error.

    Raises:
        UserError: With the weights that differ.
    """
    if problems := describe_mismatch(weights, model):
        raise UserError(
            f'the weights in {path} do not fit {name}: {problems}; give a '
            'checkpoint that was trained with this config'
        )


def weights_of_parts(
    weights: Mapping[str, Tensor], model: nn.Module
) -> dict[str, Tensor]:
    """The weights of the parts that a model has, such as its backbone.

    A network for features has no use for those of a head.
    """
    parts = {name.partition('.')[0] for name in model.state_dict()}
    return {k: v for k, v in weights.items() if k.partition('.')[0] in parts}
