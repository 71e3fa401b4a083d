"""Run a script of MMAction2, or your own, with this package's repairs.

MMAction2's wheel lacks a module that its models import, so most of its tools
fail before a config can import this package. This command imports the package
first, and applies for the length of the run what CheckedRunner applies.

Examples:
    python -m dvfl_mmaction.run_tool confusion_matrix CONFIG PREDICTIONS.pkl
    python -m dvfl_mmaction.run_tool path/to/mmaction2/demo/demo.py --help
"""

import argparse
import runpy
import sys
import traceback
from importlib.metadata import version
from pathlib import Path

import mmaction

from .compat import run_repairs
from .errors import UserError, print_user_errors, suggestion

# Where MMAction2's wheel keeps its tools, as ``mim run mmaction2`` does.
TOOLS = Path(mmaction.__file__).parent / '.mim' / 'tools'
# What pip installs for a module, where the newest version does not fit.
REQUIREMENTS = {'moviepy': "'moviepy<2'"}


def tool_names() -> list[str]:
    """List the names of MMAction2's tools, without those that fetch data."""
    return sorted(
        path.stem
        for path in TOOLS.rglob('*.py')
        if 'data' not in path.relative_to(TOOLS).parts
    )


def find_script(tool: str) -> Path:
    """Look up a script.

    Args:
        tool: A path, or the name of a tool of MMAction2, such as
            ``'vis_cam'`` or ``'visualizations/vis_cam.py'``.

    Raises:
        UserError: If it is not found, or if several have the name.
    """
    path = Path(tool).expanduser()
    if path.suffix == '.py' and path.is_file():
        return path.resolve()
    name = f'{tool.removesuffix(".py")}.py'
    found = [] if path.is_absolute() else sorted(TOOLS.rglob(name))
    if len(found) == 1:
        return found[0]
    if found:
        names = ', '.join(str(p.relative_to(TOOLS)) for p in found)
        raise UserError(f'{tool} is one of several tools; give one: {names}')
    names = tool_names()
    listed = f'; give the path of a script, or one of {", ".join(names)}'
    raise UserError(
        f'{tool} is neither a script nor a tool of MMAction2 '
        f'{version("mmaction2")}{suggestion(tool, names, listed)}'
    )


def run_script(script: Path, arguments: list[str]):
    """Run a script as ``python SCRIPT ARGUMENTS`` does.

    Raises:
        UserError: If the script lacks a module or a file, or if a check of
            its own without a message fails.
    """
    argv, path = sys.argv, sys.path[:]
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    try:
        with run_repairs:
            runpy.run_path(str(script), run_name='__main__')
    except (ImportError, OSError, AssertionError) as error:
        line = error_of_script(error, script)
        if line is None:
            raise
        raise UserError(f'{script.name} {line}') from error
    finally:
        sys.argv, sys.path[:] = argv, path


def error_of_script(error: Exception, script: Path) -> str | None:
    """Describe what a script lacks; None if that is unknown."""
    if isinstance(error, ImportError):
        while error is not None:
            if isinstance(error, ModuleNotFoundError) and error.name:
                package = error.name.partition('.')[0]
                if package in sys.modules:  # pip would install nothing
                    return (
                        f'needs {error.name}, which the installed {package} '
                        'lacks; install another version of it'
                    )
                wanted = REQUIREMENTS.get(package, package)
                return f'needs {error.name}; run: pip install {wanted}'
            error = error.__cause__ or error.__context__
        return None
    if isinstance(error, FileNotFoundError):
        return f'needs a file: {error}'
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, AssertionError) and frame.filename == str(script):
        reason = str(error) or frame.line
        return f'stopped at its line {frame.lineno}: {reason}'
    return None


def parse_args(words=None):
    parser = argparse.ArgumentParser(
        prog='python -m dvfl_mmaction.run_tool',
        description=__doc__,
        epilog=f'tools: {", ".join(tool_names())}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'tool', help="name of a tool of MMAction2, or a script's path"
    )
    parser.add_argument(
        'arguments',
        nargs=argparse.REMAINDER,
        help='arguments of the tool; --help describes them',
    )
    return parser.parse_args(words)


def main():
    args = parse_args()
    print_user_errors()
    run_script(find_script(args.tool), args.arguments)


if __name__ == '__main__':
    main()
