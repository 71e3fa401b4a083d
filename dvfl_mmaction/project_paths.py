"""Where the project's configs and tools lie, and how to type them."""

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# Where the user is, a checkout, what an installed wheel carries.
ROOTS = (Path(), PACKAGE.parent, PACKAGE / '.mim')


def locate(path: str) -> Path | None:
    """Find a file of the project, from here or from where it lies."""
    return next(
        (root / path for root in ROOTS if (root / path).is_file()), None
    )


def as_typed_here(command: str) -> str:
    """Rewrite a command of the checkout for the folder the user is in.

    Args:
        command: With ``python tools/NAME.py`` and ``configs/NAME.py``.
    """

    def tool(match):
        found = locate(match[1])
        if found and found.is_relative_to(PACKAGE / '.mim'):
            return f'mim run {PACKAGE.name} {found.stem}'
        return f'python {found or match[1]}'

    def config(match):
        return str(locate(match[0]) or match[0])

    command = re.sub(r'\bpython (tools/\w+\.py)', tool, command)
    return re.sub(r'(?<![\w/.])configs/\w+\.py', config, command)
