"""The results in docs/results give the numbers of results_real_clips.md."""

from pathlib import Path

import pytest

from dvfl_mmaction.analysis.ablation.comparing import compare, find_group
from dvfl_mmaction.analysis.ablation.pooling import pool
from dvfl_mmaction.analysis.ablation.reading import read_results
from dvfl_mmaction.analysis.ablation.results import Group, group_runs, table

RESULTS = Path(__file__).parents[3] / 'docs' / 'results'


@pytest.mark.parametrize(
    ('seeds', 'shares', 'interval', 'changed'),
    [
        (
            [0, 1, 2],
            [
                ['76.5 ± 1.7', '98.1 ± 1.2', '-', '78.5 ± 3.3'],
                ['70.6 ± 1.1', '99.4 ± 0.6', '-', '75.6 ± 1.0'],
            ],
            [5.9, 2.0, 9.9],
            [19.7, 9.0],
        ),
        (
            [1],
            [['78.3', '99.4', '-', '81.7'], ['71.7', '100.0', '-', '75.0']],
            [6.7, 0.7, 13.0],
            [21, 9],
        ),
    ],
)
def test_the_comparison_of_dist_and_kl(seeds, shares, interval, changed):
    entries = read_results([RESULTS / 'one_label_losses.json'])
    entries = [entry for entry in entries if entry['seed'] in seeds]
    groups = group_runs(pool(entries, 'folds'))
    names = ('DISTLoss', 'KLDivergenceLoss')
    dist, kl = (find_group(groups, name) for name in names)
    rows = [row.split('|') for row in table([dist, kl]).splitlines()[2:]]
    found = [[c.strip() for c in row[4:9]] for row in rows]
    assert found == [['180', *row] for row in shares]
    result = compare(dist, kl)
    numbers = (result.difference, result.low, result.high)
    assert [round(number, 1) for number in numbers] == interval
    assert [round(n, 1) for n in (result.gained, result.lost)] == changed


def published(*names, seeds=(1,)):
    """Pooled results in docs/results; of teachers those of seed 0."""
    entries = read_results([RESULTS / f'{name}.json' for name in names])
    chosen = [
        e
        for e in entries
        if e['seed'] in ((0,) if e['config'] == 'teacher' else seeds)
    ]
    return group_runs(pool(chosen, 'folds'))


def rounded(candidate, baseline):
    """Difference and interval of a comparison, and the clips that differ."""
    result = compare(candidate, baseline)
    values = (result.difference, result.low, result.high)
    changed = (round(result.gained), round(result.lost))
    return [round(value, 1) for value in values], changed


def test_the_comparison_of_two_kl_settings():
    names = 'one_label_losses.json', 'one_label_kl.json'
    groups = group_runs(
        pool(read_results([RESULTS / n for n in names]), 'folds')
    )
    dist, paper, mild, alone = (
        find_group(groups, name)
        for name in ('DISTLoss', 'temperature=10', 'temperature=4', 'alone')
    )
    rows = [r.split('|') for r in table([mild, alone]).splitlines()[2:]]
    assert [[c.strip() for c in row[3:9]] for row in rows] == [
        ['3', '180', '80.2 ± 1.8', '99.6 ± 0.3', '-', '84.8 ± 0.3'],
        ['3', '180', '50.7 ± 1.6', '81.1 ± 1.7', '-', '-'],
    ]
    for candidate, baseline, wanted in (
        (mild, paper, [9.6, 5.9, 13.4]),
        (dist, mild, [-3.7, -9.0, 1.6]),
        (mild, alone, [29.4, 23.1, 35.8]),
        (dist, alone, [25.7, 18.8, 32.7]),
        (paper, alone, [19.8, 13.3, 26.3]),
    ):
        result = compare(candidate, baseline)
        numbers = (result.difference, result.low, result.high)
        assert [round(number, 1) for number in numbers] == wanted


def test_the_comparison_of_streaming():
    names = 'losses', 'kl', 'streaming'
    groups = published(
        *(f'one_label_{name}' for name in names), seeds=(0, 1, 2)
    )
    streaming, clip, alone = (
        find_group(groups, name)
        for name in ('kd_causal', 'kd alpha=0.7', 'alone')
    )
    (row,) = table([streaming]).splitlines()[2:]
    assert [c.strip() for c in row.split('|')[3:9]] == [
        *('3', '180', '78.1 ± 2.9', '99.6 ± 0.3', '-', '82.8 ± 2.9')
    ]
    assert rounded(streaming, clip) == ([-2.0, -8.8, 4.8], (6, 9))
    assert rounded(streaming, alone) == ([27.4, 19.2, 35.6], (55, 5))


def test_the_comparison_of_three_labels():
    groups = published('three_labels')
    dist, paper, mild, alone = (
        find_group(groups, name)
        for name in ('DISTLoss', 'temperature=10', 'temperature=4', 'alone')
    )
    assert rounded(dist, alone) == ([10.0, 2.2, 17.9], (35, 17))
    every = published('three_labels', seeds=(0, 1, 2))
    pair = [find_group(every, name) for name in ('temperature=4', 'alone')]
    rows = [row.split('|') for row in table(pair).splitlines()[2:]]
    assert [[c.strip() for c in row[3:9]] for row in rows] == [
        ['3', '180', '79.8 ± 2.3', '99.3 ± 0.3', '-', '84.1 ± 2.1'],
        ['3', '180', '66.9 ± 1.8', '95.9 ± 0.6', '-', '-'],
    ]
    assert rounded(*pair) == ([13.0, 6.5, 19.4], (40, 17))
    assert rounded(paper, alone) == ([2.2, -5.0, 9.5], (23, 19))
    assert rounded(mild, alone) == ([12.8, 5.5, 20.2], (35, 12))
    assert rounded(dist, paper) == ([7.8, 1.3, 14.5], (25, 11))
    assert rounded(mild, paper) == ([10.6, 4.8, 16.9], (25, 6))
    assert rounded(dist, mild) == ([-2.8, -8.4, 2.6], (9, 14))


def test_they_tell_alpha_from_the_temperature():
    groups = published(
        'one_label_losses', 'one_label_kl', 'one_label_settings'
    )
    rest = 'epochs=40 loss=KLDivergenceLoss temperature'
    few = {
        (alpha, t): find_group(groups, f'kd alpha={alpha} {rest}={t}')
        for alpha, t in (
            *((0.1, 4), (0.3, 4), (0.3, 10), (0.5, 4), (0.9, 4)),
            *((0.7, 1), (0.7, 4), (0.7, 10)),
        )
    }
    for alpha, t, wanted in (
        (0.1, 4, ['180', '52.8', '95.0', '-', '56.7']),
        (0.7, 1, ['180', '78.3', '100.0', '-', '82.2']),
        (0.3, 4, ['180', '70.6', '100.0', '-', '75.6']),
        (0.5, 4, ['180', '77.2', '100.0', '-', '80.6']),
        (0.7, 10, ['180', '79.4', '100.0', '-', '85.0']),
        (0.9, 4, ['180', '78.9', '100.0', '-', '85.0']),
    ):
        (row,) = table([few[alpha, t]]).splitlines()[2:]
        assert [c.strip() for c in row.split('|')[4:9]] == wanted
    alone = find_group(groups, 'alone')
    assert rounded(few[0.3, 4], few[0.1, 4]) == ([17.8, 10.8, 25.1], (40, 8))
    assert rounded(few[0.1, 4], alone) == ([3.9, -3.8, 11.6], (28, 21))
    assert rounded(few[0.7, 4], few[0.7, 1]) == ([1.1, -4.3, 6.6], (12, 10))
    assert rounded(few[0.7, 4], few[0.3, 4]) == ([8.9, 3.9, 14.7], (20, 4))
    assert rounded(few[0.7, 10], few[0.3, 10]) == ([7.8, 2.4, 13.7], (20, 6))
    assert rounded(few[0.5, 4], few[0.3, 4]) == ([6.7, 1.4, 12.4], (18, 6))
    assert rounded(few[0.7, 4], few[0.5, 4]) == ([2.2, -2.4, 7.1], (10, 6))
    assert rounded(few[0.9, 4], few[0.3, 4]) == ([8.3, 3.1, 14.2], (20, 5))
    assert rounded(few[0.9, 4], few[0.5, 4]) == ([1.7, -3.1, 6.6], (10, 7))
    assert rounded(few[0.9, 4], few[0.7, 4]) == ([-0.6, -5.2, 4.0], (7, 8))
    assert rounded(few[0.3, 4], few[0.3, 10]) == ([-1.1, -6.4, 4.0], (9, 11))
    assert rounded(few[0.7, 4], few[0.7, 10]) == ([0.0, -3.7, 3.7], (4, 4))


def test_the_comparison_of_three_times_the_epochs():
    seeds = (0, 1, 2)
    patient = find_group(
        published('one_label_patient', seeds=seeds), 'epochs=120'
    )
    (row,) = table([patient]).splitlines()[2:]
    assert [c.strip() for c in row.split('|')[3:9]] == [
        *('3', '180', '88.7 ± 1.4', '100.0 ± 0.0', '-', '92.2 ± 1.7')
    ]
    usual = find_group(published('one_label_kl', seeds=seeds), 'temperature=4')
    assert rounded(patient, usual) == ([8.5, 4.7, 12.4], (17, 2))
    each = [
        [
            Group(group.name, tuple(r for r in group.runs if r['seed'] == s))
            for group in (patient, usual)
        ]
        for s in seeds
    ]
    gains = [compare(*pair).difference for pair in each]
    assert [round(gain, 1) for gain in gains] == [8.3, 10.6, 6.7]
    long = find_group(published('one_label_patient'), 'alone')
    short = find_group(published('one_label_losses'), 'alone')
    (row,) = table([long]).splitlines()[2:]
    assert [c.strip() for c in row.split('|')[4:7]] == ['180', '53.9', '85.0']
    assert rounded(each[1][0], long) == ([36.1, 28.7, 43.7], (68, 3))
    assert rounded(each[1][1], long) == ([25.6, 18.0, 33.3], (53, 7))
    assert rounded(long, short) == ([5.0, 0.6, 10.1], (13, 4))
    every = published('all_labels')
    teacher, alone = (find_group(every, n) for n in ('teacher', 'alone'))
    # One teacher for the students of all seeds.
    teacher = Group(teacher.name, ({**teacher.runs[0], 'seed': None},))
    assert rounded(patient, teacher) == ([3.1, -0.4, 6.7], (9, 4))
    assert rounded(each[1][0], alone) == ([5.6, -0.2, 11.7], (19, 9))


def test_the_comparison_of_teachers():
    student, found = {}, []
    for name in ('weak', 'middle'):
        groups = published(f'one_label_{name}_teacher')
        student[name] = find_group(groups, 'kd')
        both = [student[name], find_group(groups, 'teacher')]
        rows = [row.split('|') for row in table(both).splitlines()[2:]]
        found += [[c.strip() for c in row[4:9]] for row in rows]
    assert found == [
        ['180', '61.7', '96.7', '-', '74.4'],
        ['180', '58.3', '97.2', '-', '-'],
        ['180', '71.7', '98.3', '-', '83.3'],
        ['180', '73.3', '98.3', '-', '-'],
    ]
    weak, middle = student.values()
    alone = find_group(published('one_label_losses'), 'alone')
    good = find_group(published('one_label_kl'), 'temperature=4')
    assert rounded(weak, alone) == ([12.8, 5.4, 20.4], (36, 13))
    assert rounded(middle, alone) == ([22.8, 15.7, 30.2], (47, 6))
    assert rounded(middle, weak) == ([10.0, 4.3, 16.3], (24, 6))
    assert rounded(good, middle) == ([7.8, 2.2, 13.9], (21, 7))
    assert rounded(good, weak) == ([17.8, 11.0, 25.0], (39, 7))


def test_the_comparison_with_all_labels():
    groups = published('all_labels')
    dist, kl, alone = (
        find_group(groups, name)
        for name in ('DISTLoss', 'KLDivergenceLoss', 'alone')
    )
    (row,) = table([kl]).splitlines()[2:]
    assert [c.strip() for c in row.split('|')[4:9]] == [
        *('180', '85.6', '100.0', '-', '89.4')
    ]
    assert rounded(dist, alone) == ([-2.8, -8.0, 2.1], (7, 12))
    assert rounded(kl, alone) == ([1.1, -3.8, 6.2], (10, 8))
    assert rounded(kl, dist) == ([3.9, -0.7, 8.9], (12, 5))
