"""The table that ``tools/quickstart.sh`` prints at the end."""

import json
from pathlib import Path

from ..errors import UserError
from ..project_paths import find_config
from .complexity import complexity
from .configs import load_config
from .tables import align

RUNS = (  # folder, name in the table, config
    ('teacher', 'teacher', 'videofocalnet_base_demo'),
    ('alone', 'student alone', 'vflnet_demo'),
    ('distilled', 'distilled student', 'vflnet_kd_demo'),
)
HEADER = (
    'model',
    'top-1, 1x1',
    'top-1, 4x3',
    'parameters',
    'MACs',
    'training',
)


def build_table(work_dir: Path) -> str:
    """Summarize the runs of the quickstart in a Markdown table.

    Accuracies and times are read from the runs; parameters and MACs are
    counted from their configs, one clip, backbone and head.

    Args:
        work_dir: Folder with ``teacher``, ``alone`` and ``distilled``.

    Raises:
        UserError: If a run is not finished.
    """
    rows = [HEADER]
    for run, name, config in RUNS:
        folder = work_dir / run
        path = find_config(f'configs/{config}.py', 'config')
        counts = complexity(load_config(str(path)))
        rows.append(
            (
                name,
                read_accuracy(folder / 'test_1x1'),
                read_accuracy(folder / 'test_4x3'),
                f'{counts.parameters / 1e6:.3f} M',
                f'{counts.macs / 1e6:.3f} M',
                f'{read_seconds(folder / "trained")} s',
            )
        )
    return align(rows)


def read_accuracy(work_dir: Path) -> str:
    """Top-1 of the latest test in ``work_dir``, in percent; '-' if untested.

    Raises:
        UserError: If a test started and left no result.
    """
    if not work_dir.is_dir():
        return '-'
    results = sorted(work_dir.glob('*/results.json'))
    if not results:
        raise UserError(
            f'no result found in {work_dir}; remove {work_dir.parent} and '
            'rerun tools/quickstart.sh'
        )
    return f'{100 * json.loads(results[-1].read_text())["top1"]:.1f} %'


def read_seconds(path: Path) -> str:
    """Duration of a finished training.

    Raises:
        UserError: If the training is not finished.
    """
    if not path.is_file():
        raise UserError(
            f'{path} not found, so its training is not finished; run '
            'tools/quickstart.sh'
        )
    return path.read_text().strip()
