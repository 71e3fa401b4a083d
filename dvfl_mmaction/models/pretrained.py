"""Initialise a backbone from a checkpoint, and log each weight's source."""

from mmengine.logging import print_log
from torch import nn

from ..checkpoints.architecture import list_differences, read_architecture
from ..checkpoints.conversion import convert
from ..checkpoints.source import read_source
from ..errors import UserError


def load_pretrained(module: nn.Module, path: str):
    """Initialise a backbone from a checkpoint.

    The conversion of each weight is logged.

    Args:
        module: A backbone.
        path: A released 2-D or video checkpoint, or one of an MMAction2
            recognizer: a file, or a URL that MMEngine can read.

    Raises:
        UserError: If the file cannot be read or is of another architecture.
    """
    source = read_source(path)
    shapes = {
        f'backbone.{name}': tuple(value.shape)
        for name, value in module.state_dict().items()
    }
    differences = list_differences(
        source.architecture(), read_architecture(shapes), initialise=True
    )
    if differences:
        raise UserError(
            f'pretrained={path!r} ({source.title}) does not fit this '
            f'{type(module).__name__}: {"; ".join(differences)}; give a '
            'checkpoint of this architecture'
        )
    weights, report = convert(source, shapes, initialise=True)
    module.load_state_dict(
        {name.removeprefix('backbone.'): v for name, v in weights.items()},
        strict=False,
    )
    print_log(f'{path}, {source.title}: {report}', logger='current')
