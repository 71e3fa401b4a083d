"""Import optional packages; a missing one is reported in one line."""

import importlib
from types import ModuleType

from ..errors import UserError


class MissingPackage(UserError):
    """A package that an extra of this project installs."""


def import_extra(name: str, extra: str = 'export') -> ModuleType:
    """Import a package that an extra of this project installs.

    Args:
        name: Of the module, such as ``'onnxruntime'``.
        extra: Of this project, as in ``dvfl_mmaction[export]``.

    Raises:
        MissingPackage: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition('.')[0]
        if (error.name or '').partition('.')[0] != package:
            raise
        raise MissingPackage(
            f'{package} is not installed; run: '
            f"pip install 'dvfl_mmaction[{extra}]'"
        ) from None
