"""Use released files without converting them first."""

from collections.abc import Mapping

from torch import nn

from ..errors import UserError
from .architecture import read_architecture
from .conversion import ConversionReport, convert
from .key_maps import template
from .matching_configs import check_match
from .source import find_container, parse_checkpoint, strip_prefixes

# In every layout of a FocalNet but a recognizer's, which prefixes it.
FOCAL_NAME = 'layers.{}.blocks.{}.modulation.f.weight'


def rename_released(
    checkpoint: dict, path: str, model: nn.Module, config: str
) -> ConversionReport | None:
    """Rename the weights of a released video model for a recognizer.

    Args:
        checkpoint: A loaded checkpoint. If it is a released one, its content
            is replaced by ``state_dict``; else it stays as it is.
        path: Its file, for errors.
        model: The recognizer that will load it.
        config: The recognizer's config, for errors.

    Returns:
        The report of the conversion; None if nothing was renamed.

    Raises:
        UserError: If it is a released file of another architecture or
            number of classes, or of a network for images.
    """
    container = find_container(checkpoint)
    weights = checkpoint[container] if container else checkpoint
    if not is_released(weights):
        return None
    source = parse_checkpoint(checkpoint, path)
    if source.layout.from_image:
        raise UserError(
            f'{path} is {source.title}, without temporal weights and without '
            "the model's classes; to start a training from it, set "
            f'model.backbone.pretrained of {config} to the file'
        )
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    check_match(
        source, source.architecture(), read_architecture(shapes), config
    )
    renamed, report = convert(source, shapes, initialise=False)
    checkpoint.clear()
    checkpoint['state_dict'] = renamed
    return report


def is_released(weights: Mapping) -> bool:
    """Whether the names are those of a released FocalNet of any kind."""
    if not all(isinstance(name, str) for name in weights):
        return False
    return any(template(k) == FOCAL_NAME for k in strip_prefixes(weights))
