"""The table that ``tools/quickstart.sh`` ends with."""

import json
import re
from pathlib import Path

from ..errors import UserError
from .tables import align

HEADER = (
    'model',
    'top-1, 1x1',
    'top-1, 4x3',
    'parameters',
    'MACs',
    'training',
)


def build_table(work_dir: Path) -> str:
    """Put what the runs left behind into a Markdown table.

    Args:
        work_dir: Folder with ``teacher``, ``alone`` and ``distilled``.

    Raises:
        UserError: If a run has not ended.
    """
    student = read_counts(work_dir / 'distilled' / 'counted.log')
    counts = {
        'teacher': read_counts(work_dir / 'teacher' / 'counted.log'),
        'alone': student,
        'distilled': student,
    }
    names = dict(
        teacher='teacher',
        alone='student alone',
        distilled='distilled student',
    )
    rows = [HEADER]
    for run, name in names.items():
        folder = work_dir / run
        parameters, macs = counts[run]
        rows.append(
            (
                name,
                read_accuracy(folder / 'test_1x1'),
                read_accuracy(folder / 'test_4x3'),
                parameters,
                macs,
                f'{read(folder / "trained").strip()} s',
            )
        )
    return align(rows)


def read_accuracy(work_dir: Path) -> str:
    """Top-1 of the last test in ``work_dir``, in percent."""
    if not work_dir.is_dir():
        return '-'
    results = sorted(work_dir.glob('*/results.json'))
    if not results:
        raise UserError(
            f'there is no result in {work_dir}; remove {work_dir.parent} and '
            'run tools/quickstart.sh again'
        )
    return f'{100 * json.loads(results[-1].read_text())["top1"]:.1f} %'


def read_counts(log: Path) -> tuple[str, str]:
    """Parameters and MACs as MMAction2's ``get_flops`` printed them.

    It prints multiply-adds and calls them Flops.
    """
    text = read(log)
    macs = re.search(r'^Flops: ([\d.]+)(\w)', text, re.MULTILINE)
    parameters = re.search(r'^Params: ([\d.]+)(\w)', text, re.MULTILINE)
    if not macs or not parameters:
        raise UserError(
            f'{log} holds no counts; remove it and its mark '
            f'{log.with_suffix("")}, and run tools/quickstart.sh again'
        )
    return f'{parameters[1]} {parameters[2]}', f'{macs[1]} {macs[2]}'


def read(path: Path) -> str:
    if not path.is_file():
        raise UserError(f'{path} is not there; run tools/quickstart.sh')
    return path.read_text()
