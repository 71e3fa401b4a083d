import json

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.quickstart_table import build_table
from dvfl_mmaction.analysis.tables import align

COUNTS = (
    '| module | #parameters or shape | #flops |\n'
    'Input shape: (1, 3, 8, 64, 64)\nFlops: {macs}\nParams: {params}\n'
)


@pytest.fixture
def work_dir(tmp_path):
    for run, accuracy in dict(teacher=0.97, alone=0.8, distilled=0.9).items():
        for stamp, value in (('1', 0.0), ('2', accuracy)):  # an older test
            folder = tmp_path / run / 'test_1x1' / stamp
            folder.mkdir(parents=True)
            (folder / 'results.json').write_text(json.dumps({'top1': value}))
            # MMEngine's own, beside it
            (folder / f'{stamp}.json').write_text('{}')
        (tmp_path / run / 'trained').write_text('42\n')
    for run, macs in dict(teacher='1.203G', distilled='0.1G').items():
        (tmp_path / run / 'counted.log').write_text(
            COUNTS.format(macs=macs, params='3.5M')
        )
    return tmp_path


def test_the_table_tells_what_the_runs_left(work_dir):
    lines = build_table(work_dir).splitlines()
    cells = [[c.strip() for c in line.split('|')[1:-1]] for line in lines]
    assert cells[2] == ['teacher', '97.0 %', '-', '3.5 M', '1.203 G', '42 s']
    assert cells[3][:2] == ['student alone', '80.0 %']
    assert cells[4][:5] == [
        'distilled student',
        '90.0 %',
        '-',
        '3.5 M',
        '0.1 G',
    ]


def test_a_run_that_has_not_ended_is_named(work_dir):
    (work_dir / 'alone' / 'trained').unlink()
    with pytest.raises(UserError, match='alone/trained is not there'):
        build_table(work_dir)


def test_a_test_without_a_result_is_named(work_dir):
    (work_dir / 'distilled' / 'test_4x3').mkdir()
    with pytest.raises(UserError, match='no result in .*test_4x3'):
        build_table(work_dir)


def test_columns_line_up():
    assert align([('a', 'bb'), ('ccc', 'd')]) == (
        '| a   | bb |\n|-----|----|\n| ccc | d  |'
    )
