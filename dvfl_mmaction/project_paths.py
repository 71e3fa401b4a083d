"""Paths of the project's configs and tools, and commands with them."""

import re
import shutil
from pathlib import Path

from .errors import UserError
from .files import cannot_write

PACKAGE = Path(__file__).resolve().parent
# The current folder, a checkout, and the resources of an installed wheel.
ROOTS = (Path(), PACKAGE.parent, PACKAGE / '.mim')


def find_file(path: str) -> Path | None:
    """Look up a file in the current folder, then in the project."""
    return next(
        (root / path for root in ROOTS if (root / path).is_file()), None
    )


def find_config(path: str, option: str = 'teacher.config') -> Path:
    """Look up a config in the current folder, then in the project.

    Args:
        path: The user's path.
        option: The option that gave the path, for the error.

    Raises:
        UserError: If it is not found.
    """
    if found := find_file(path):
        return found
    raise UserError(
        f'{option} {path} was not found; give the path of a config, such as '
        'configs/videofocalnet_base_ucf101.py'
    )


def find_configs() -> list[Path]:
    """List the project's configs, one per run, sorted by name."""
    folders = (root / 'configs' for root in ROOTS)
    folder = next((f for f in folders if (f / '_base_').is_dir()), None)
    return sorted(folder.glob('*.py')) if folder else []


def copy_project(folder: Path) -> list[Path]:
    """Copy the folders of the configs and of the Python tools.

    Args:
        folder: Gets ``configs`` and ``tools``.

    Returns:
        The two new folders.

    Raises:
        UserError: If one of them exists already, or cannot be written;
            neither is then left.
    """
    source = next(r for r in ROOTS[1:] if (r / 'configs/_base_').is_dir())
    targets = [folder / name for name in ('configs', 'tools')]
    for target in targets:
        if target.exists():
            raise UserError(
                f'{target} exists already; remove it to copy it again, or '
                'give another folder'
            )
    try:
        for target in targets:
            shutil.copytree(
                source / target.name,
                target,
                ignore=shutil.ignore_patterns('__pycache__', '.*', '*.sh'),
            )
    except BaseException as error:
        for target in targets:
            shutil.rmtree(target, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        if isinstance(error, shutil.Error):  # of each file
            error = OSError(error.args[0][0][2])
        raise cannot_write(folder, error) from error
    return targets


def localize_command(command: str) -> str:
    """Rewrite a command of the checkout for the current folder.

    Args:
        command: May contain ``python tools/NAME.py`` and
            ``configs/NAME.py``.
    """

    def tool(match):
        found = find_file(match[1])
        if found and found.is_relative_to(PACKAGE / '.mim'):
            return f'mim run {PACKAGE.name} {found.stem}'
        return f'python {found or match[1]}'

    def config(match):
        return str(find_file(match[0]) or match[0])

    command = re.sub(r'\bpython (tools/\w+\.py)', tool, command)
    return re.sub(r'(?<![\w/.])configs/\w+\.py', config, command)
