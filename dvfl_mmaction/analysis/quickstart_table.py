"""The table that ``tools/quickstart.sh`` prints at the end."""

import json
from pathlib import Path

from scipy import stats

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
    counted from their configs, one clip, backbone and head. Intervals are
    Wilson's for a share, over the test clips.

    Args:
        work_dir: Folder with ``teacher``, ``alone`` and ``distilled``.

    Raises:
        UserError: If a run is not finished.
    """
    rows, tested = [HEADER], set()
    for run, name, config in RUNS:
        folder = work_dir / run
        path = find_config(f'configs/{config}.py', 'config')
        counts = complexity(load_config(str(path)))
        results = [
            read_results(folder / f'test_{views}') for views in ('1x1', '4x3')
        ]
        tested |= {result['clips'] for result in results if result}
        rows.append(
            (
                name,
                *map(accuracy_text, results),
                f'{counts.parameters / 1e6:.3f} M',
                f'{counts.macs / 1e6:.3f} M',
                f'{read_seconds(folder / "trained")} s',
            )
        )
    clips = ' or '.join(map(str, sorted(tested)))
    return (
        f'{align(rows)}\n\nTop-1 on {clips} test clips, in brackets the 95 % '
        'interval over the clips; one training each.'
    )


def read_results(work_dir: Path) -> dict | None:
    """The results of the latest test in ``work_dir``; None if untested.

    Raises:
        UserError: If a test started and left no result.
    """
    if not work_dir.is_dir():
        return None
    results = sorted(work_dir.glob('*/results.json'))
    if not results:
        raise UserError(
            f'no result found in {work_dir}; remove {work_dir.parent} and '
            'rerun tools/quickstart.sh'
        )
    return json.loads(results[-1].read_text())


def accuracy_text(results: dict | None) -> str:
    """Top-1 in percent, with its 95 % interval; '-' if untested."""
    if results is None:
        return '-'
    top1, clips = results['top1'], results['clips']
    low, high = stats.binomtest(round(top1 * clips), clips).proportion_ci(
        0.95, 'wilson'
    )
    return f'{100 * top1:.1f} % ({100 * low:.0f} to {100 * high:.0f})'


def read_seconds(path: Path) -> str:
    """Duration of a finished training, after ``> `` if it was resumed.

    Raises:
        UserError: If the training is not finished.
    """
    if not path.is_file():
        raise UserError(
            f'{path} not found, so its training is not finished; run '
            'tools/quickstart.sh'
        )
    return path.read_text().strip()
