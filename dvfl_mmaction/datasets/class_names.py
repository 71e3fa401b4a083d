"""Files of class names."""

from pathlib import Path

from ..errors import UserError

CLASSES = 'classes.txt'  # beside a list of clips


def read_class_names(path: Path) -> list[str]:
    """Lines of a file of class names, without blank ones at its end.

    Raises:
        UserError: If it is not UTF-8 text.
        OSError: If it cannot be read.
    """
    try:
        names = path.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise UserError(
            f'{path} is not a list of class names: {error}; give a text file '
            'in UTF-8 with a name per line'
        ) from None
    while names and not names[-1].strip():
        del names[-1]
    return names


def class_names_beside(ann_file: str | Path) -> list[str] | None:
    """Class names beside a list of clips; None if there are none."""
    path = Path(ann_file).with_name(CLASSES)
    return read_class_names(path) if path.is_file() else None
