"""Find what a training left in its work folder."""

import re
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from .results_files import part_of, read_results

BEST, LAST = 'best', 'last'
NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def find_config(folder: Path) -> Path:
    """The config that the runner wrote to a work folder.

    Raises:
        UserError: If there is none, or several.
    """
    if not folder.is_dir():
        raise UserError(
            f'{folder} is no folder; give the work folder of a training'
        )
    found = sorted(folder.glob('*.py'))
    if len(found) == 1:
        return found[0]
    raise UserError(
        f'{folder} has {count_of(found, "config")}; give the one of the '
        'training: --config FILE'
    )


def find_checkpoint(folder: Path, which: str = BEST) -> Path:
    """The checkpoint of a training.

    Args:
        folder: The work folder.
        which: ``'best'`` (the one that validation chose), ``'last'``, or a
            file.

    Raises:
        UserError: If there is none, or several are the best.
    """
    if which not in (BEST, LAST):
        path = Path(which)
        if not path.is_file():
            raise UserError(
                f'--checkpoint {which} was not found; give best, last, or a '
                'file'
            )
        return path
    if which == BEST:
        found = sorted(folder.glob('best_*.pth'))
        if len(found) == 1:
            return found[0]
        raise UserError(
            f'{folder} has {count_of(found, "best_*.pth")}; give '
            '--checkpoint last, or --checkpoint FILE'
        )
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        path = folder / Path(pointer.read_text('utf-8').strip()).name
        if path.is_file():
            return path
    found = [p for p in folder.glob('*.pth') if NUMBERED.fullmatch(p.name)]
    if not found:
        raise UserError(
            f'{folder} has no checkpoint of a training (epoch_N.pth); give '
            '--checkpoint FILE'
        )
    return max(found, key=lambda p: int(NUMBERED.fullmatch(p.name)[1]))


def count_of(found: list[Path], what: str) -> str:
    """None or several files, for an error."""
    names = ', '.join(path.name for path in found)
    return f'{len(found)} of {what}: {names}' if found else f'no {what}'


def find_results(
    folder: Path, sha256: str, report: Callable[[str], None] = print
) -> tuple[list[dict], int]:
    """The tests of a checkpoint in a work folder.

    Args:
        folder: The work folder; each test has a folder in it, or in the
            folder of its ``--work-dir``.
        sha256: Of the file of the checkpoint.
        report: Called with a line per file that is skipped.

    Returns:
        Contents of ``results.json``, the newest per list and views, the
        oldest of them first; and the number of tests of other weights.
    """
    found, others = {}, 0
    for path, results in read_results(folder, report):
        if 'checkpoint' not in results:
            continue  # a file of that name of another tool
        if part_of(results, 'checkpoint').get('sha256') != sha256:
            others += 1
            continue
        key = (
            part_of(results, 'annotations').get('sha256'),
            part_of(results, 'views').get('form'),
        )
        if key[1] is None or not isinstance(results.get('clips'), int):
            report(f'skipped {path}: it has no views or no clips')
            continue
        found.setdefault(key, results)
    return list(found.values())[::-1], others
