"""The picture of the students of real clips, and the tables beside it."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IN_README = {'KL 0.3/10': "KL 0.3/10 (alpha/temperature), the paper's"}
IN_PAGE = {'alone': 'student alone'}


@pytest.fixture(scope='module')
def script():
    return runpy.run_path(str(ROOT / 'docs' / 'make_results_figure.py'))


@pytest.fixture(scope='module')
def students(script):
    return script['read_students']()


def text_of(group):
    """As the tables have it, without the number of seeds."""
    if group is None:
        return ''
    text = f'{100 * group.mean("top1"):.1f}'
    if len(group.runs) == 1:
        return text
    return f'{text} ± {100 * group.spread("top1"):.1f}'


def rows_of(path):
    """Cells by name of the row, of all tables, without marks and units."""
    rows = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        if line.startswith('|'):
            plain = re.sub(r'\*| %| \(\d\)', '', line)
            name, *cells = (cell.strip() for cell in plain.split('|')[1:-1])
            rows.setdefault(name, cells)  # the first table has the summary
    return rows


def test_the_tables_have_the_values_of_the_picture(students):
    page = rows_of(ROOT / 'docs' / 'results_real_clips.md')
    readme = rows_of(ROOT / 'README.md')
    for student, groups in students.items():
        wanted = [text_of(groups.get(labels)) for labels in ('1', '3', 'all')]
        assert page[IN_PAGE.get(student, student)] == wanted
        assert readme[IN_README.get(student, student)][1:] == wanted


def test_the_picture_has_every_value(script, students):
    teacher = script['read_teacher']()
    axes = script['draw'](students, teacher).axes[0]
    drawn = {
        bars.get_label(): list(bars.lines[0].get_ydata())
        for bars in axes.containers
    }
    assert drawn == {
        student: [100 * group.mean('top1') for group in groups.values()]
        for student, groups in students.items()
    }
    (low, high), limits = axes.get_ylim(), [100 * teacher.mean('top1')]
    limits += [value for values in drawn.values() for value in values]
    assert low < min(limits) and max(limits) < high
