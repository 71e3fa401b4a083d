"""What the report asks for is checked before the runs."""

import pytest

from dvfl_mmaction.analysis.ablation.report_checks import check_report
from dvfl_mmaction.errors import UserError


def entry(config, kind='distilled', **labels):
    name = ' '.join([config, *(f'{k}={v}' for k, v in labels.items())])
    return dict(name=name, config=config, kind=kind, labels=labels)


RUNS = [
    entry('kd', alpha=0.3, folds='1'),
    entry('kd', alpha=0.3, folds='2'),
    entry('alone', folds='1'),
    entry('teacher big', kind='teacher'),
]


@pytest.mark.parametrize(
    ('pool', 'compared'),
    [
        (None, ['kd alpha=0.3 folds=2', 'teacher big']),
        ('folds', ['kd alpha=0.3', 'alone', 'teacher', '7']),
    ],
)
def test_names_of_the_table_are_accepted(pool, compared):
    check_report(RUNS, pool, compared)


@pytest.mark.parametrize(
    ('pool', 'compared', 'message'),
    [
        (
            'fold',
            [],
            '--pool fold: no run has this axis; the axes are alpha, ',
        ),
        (None, ['alone', 'kd_'], "--compare 'kd_': no setting has this in "),
        ('folds', ['alome'], "did you mean 'alone'?"),
        ('folds', ['folds=2'], "--compare 'folds=2': no setting has this in"),
    ],
)
def test_what_no_run_has_is_refused(pool, compared, message):
    with pytest.raises(UserError) as caught:
        check_report(RUNS, pool, compared)
    assert message in str(caught.value)


def test_without_an_axis_there_is_nothing_to_join():
    with pytest.raises(UserError, match='the axes are none'):
        check_report([entry('kd')], 'folds', [])
