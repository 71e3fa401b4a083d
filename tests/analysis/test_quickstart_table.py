import json

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.quickstart_table import build_table
from dvfl_mmaction.analysis.tables import align


@pytest.fixture
def work_dir(tmp_path):
    for run, accuracy in dict(teacher=0.97, alone=0.8, distilled=0.9).items():
        for stamp, value in (('1', 0.0), ('2', accuracy)):  # an older test
            folder = tmp_path / run / 'test_1x1' / stamp
            folder.mkdir(parents=True)
            (folder / 'results.json').write_text(
                json.dumps({'top1': value, 'clips': 100})
            )
            # MMEngine's own, beside it
            (folder / f'{stamp}.json').write_text('{}')
        (tmp_path / run / 'trained').write_text('42\n')
    return tmp_path


def test_the_table_summarizes_the_runs(work_dir, monkeypatch):
    monkeypatch.chdir(work_dir)  # the configs are those of the project
    lines = build_table(work_dir).splitlines()
    cells = [[c.strip() for c in line.split('|')[1:-1]] for line in lines[:5]]
    teacher = ['2.487 M', '63.000 M', '42 s']
    student = ['0.981 M', '25.121 M', '42 s']
    assert cells[2:] == [
        ['teacher', '97.0 % (92 to 99)', '-', *teacher],
        ['student alone', '80.0 % (71 to 87)', '-', *student],
        ['distilled student', '90.0 % (83 to 94)', '-', *student],
    ]
    assert lines[-1].startswith('Top-1 on 100 test clips, in brackets the 95')


def test_an_unfinished_run_is_named(work_dir):
    (work_dir / 'alone' / 'trained').unlink()
    with pytest.raises(UserError, match='alone/trained not found'):
        build_table(work_dir)


def test_a_test_without_a_result_is_named(work_dir):
    (work_dir / 'distilled' / 'test_4x3').mkdir()
    with pytest.raises(UserError, match='no result found in .*test_4x3'):
        build_table(work_dir)


def test_columns_line_up():
    assert align([('a', 'bb'), ('ccc', 'd')]) == (
        '| a   | bb |\n|-----|----|\n| ccc | d  |'
    )
