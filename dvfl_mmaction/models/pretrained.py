"""Take over the weights of another checkpoint, and say what came of it."""

from mmengine.logging import print_log
from torch import nn

from ..checkpoints.architecture import list_differences, read_architecture
from ..checkpoints.conversion import convert
from ..checkpoints.source import read_source
from ..errors import UserError


def load_pretrained(module: nn.Module, path: str):
    """Initialise a backbone from a checkpoint.

    A released 2-D or video file, or an MMAction2 recognizer's; what became
    of every weight is logged.

    Args:
        module: A backbone.
        path: A checkpoint file or an address that MMEngine can read.

    Raises:
        UserError: If the file cannot be read or is of another architecture.
    """
    source = read_source(path)
    shapes = {
        f'backbone.{name}': tuple(value.shape)
        for name, value in module.state_dict().items()
    }
    differ = list_differences(
        source.architecture(), read_architecture(shapes), initialise=True
    )
    if differ:
        raise UserError(
            f'pretrained={path!r} ({source.title}) is not for this '
            f'{type(module).__name__}: {"; ".join(differ)}; give a checkpoint '
            'of this architecture'
        )
    weights, report = convert(source, shapes, initialise=True)
    module.load_state_dict(
        {name.removeprefix('backbone.'): v for name, v in weights.items()},
        strict=False,
    )
    print_log(f'{path}, {source.title}: {report}', logger='current')
