"""Find the ``results.json`` of tests below a folder."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

# A test has a folder named by its time, and may have a --work-dir of its own
# in that of the training. Data sets beside a checkpoint lie deeper.
DEPTH = 3
TIME_NAME = re.compile(r'\d{8}_\d{6}')  # as MMEngine names folders


def read_results(
    folder: Path, report: Callable[[str], None] = print
) -> list[tuple[Path, dict]]:
    """Results of the tests in a folder and up to 3 folders below it.

    Args:
        folder: Of a training or a checkpoint.
        report: Called with a line per file that cannot be read; it is
            skipped.

    Returns:
        Paths and contents of the files, the newest test first.
    """
    levels = ('*/' * depth + 'results.json' for depth in range(DEPTH + 1))
    paths = {path for level in levels for path in folder.glob(level)}
    found = []
    for path in sorted(paths, key=lambda p: (time_of(p), p), reverse=True):
        try:
            results = json.loads(path.read_text('utf-8'))
        except (OSError, ValueError, RecursionError) as error:
            reason = ' '.join(str(error).split())
            report(f'skipped {path}: it cannot be read as JSON ({reason})')
            continue
        if not isinstance(results, dict):
            kind = type(results).__name__
            report(f'skipped {path}: it holds a {kind}, not a JSON object')
            continue
        found.append((path, results))
    return found


def time_of(path: Path) -> float:
    """When a test ran, in s: by its folder's name, which copies keep."""
    if TIME_NAME.fullmatch(path.parent.name):
        try:
            return datetime.strptime(
                path.parent.name, '%Y%m%d_%H%M%S'
            ).timestamp()
        except ValueError:  # no date
            pass
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def part_of(results: dict, key: str) -> dict:
    """An entry that is a dict; an empty one if it is not."""
    part = results.get(key)
    return part if isinstance(part, dict) else {}
