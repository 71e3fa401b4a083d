"""Results of made-up runs: measures, groups, pools, tables, comparisons."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from dvfl_mmaction.analysis.ablation import results
from dvfl_mmaction.analysis.ablation.comparing import (
    compare,
    describe,
    find_group,
)
from dvfl_mmaction.analysis.ablation.execution import read_result
from dvfl_mmaction.analysis.ablation.figures import (
    save_figures,
    short_name,
    telling_axes,
)
from dvfl_mmaction.analysis.ablation.reading import read_results
from dvfl_mmaction.analysis.ablation.results import (
    group_runs,
    table,
    write_results,
)
from dvfl_mmaction.analysis.ablation.scores import (
    ClipScores,
    agreement,
    cached_scores,
    load_scores,
    measure,
)
from dvfl_mmaction.analysis.paired_comparison import (
    clustered_interval,
    score_interval,
)
from dvfl_mmaction.errors import UserError

GOOD, HALF, BAD = [0, 1, 2, 3], [0, 1, 3, 2], [3, 2, 1, 0]


def groups_of(tmp_path):
    return group_runs(write_results(tmp_path / 'out'))


def test_agreement_is_the_share_of_equal_predictions(add_run, tmp_path):
    teacher = add_run('big', None, GOOD, kind='teacher')
    # The same clips in another order: sorted by name before comparing.
    add_run('kd', 0, HALF, teacher=teacher)
    add_run('kd', 1, BAD, teacher=teacher)
    entries = write_results(tmp_path / 'out')
    assert [e.get('agreement') for e in entries] == [None, 0.5, 0.0]
    assert read_results([tmp_path / 'out']) == entries


def test_a_failed_run_that_is_tried_again_meanwhile_is_left_out(
    add_run, tmp_path, monkeypatch
):
    add_run('kd', 0, GOOD), add_run('lost', 0, BAD, status='failed')

    def read(folder):
        if 'lost' in str(folder):  # another run starts as this one ends
            (folder / 'run.json').unlink()
        return read_result(folder)

    monkeypatch.setattr(results, 'read_result', read)
    (entry,) = write_results(tmp_path / 'out')
    assert entry['name'] == 'kd'


def test_the_table_has_mean_and_spread_over_the_seeds(add_run, tmp_path):
    for seed, predicted in enumerate([GOOD, HALF]):
        add_run('kd', seed, predicted, [('alpha', 0.3)])
    add_run('alone', 0, BAD, kind='alone')
    add_run('lost', 0, BAD, status='failed', error='no')
    groups = groups_of(tmp_path)
    lines = table(groups).splitlines()
    rows = [[c.strip() for c in line.split('|')[1:-1]] for line in lines[2:]]
    assert rows[0][1:4] == ['kd alpha=0.3', '2', '75.0 ± 35.4']
    assert rows[1][1:4] == ['alone', '1', '0.0'] and len(rows) == 2
    assert (tmp_path / 'out' / 'table.md').read_text() == (
        table(groups) + '\n'
    )


def test_unreadable_clips_are_wrong(add_run, tmp_path):
    add_run('kd', 0, GOOD, readable=[True, True, False, False])
    (group,) = groups_of(tmp_path)
    assert group.scores[0].correct.sum() == 2


def clip_scores(ranked, readable, names='abcd'):
    """Scores of clips of class 0, of which a row names the best first."""
    scores = np.zeros((len(ranked), 7))
    for row, classes in zip(scores, ranked, strict=True):
        row[classes] = [0.5, 0.3, 0.2][: len(classes)]
    number = len(ranked)
    return ClipScores(
        np.array(list(names)),
        np.zeros(number, int),
        scores,
        np.array(readable),
        np.arange(number),
    )


def test_the_agreement_is_of_the_clips_that_both_could_read():
    student = clip_scores([[0], [1], [2], [3]], [True, True, False, True])
    teacher = clip_scores([[0], [2], [2], [3]], [True, True, True, False])
    assert agreement(student, teacher) == 0.5
    neither = clip_scores([[0], [1], [2], [3]], [False, False, True, False])
    assert agreement(student, neither) is None
    others = clip_scores([[0], [1], [2], [3]], [True] * 4, 'abce')
    assert agreement(student, others) is None


def test_measures_of_a_test_are_those_of_its_readable_clips():
    rows = [[0, 1, 2], [1, 0, 2], [1, 2, 0], [0, 1, 2]]
    found = measure(clip_scores(rows, [True, True, True, False]))
    assert (found['top1'], found['top5']) == (0.25, 0.75)
    # Of the three that can be read, with 50 % each, one is right.
    assert found['ece'] == pytest.approx(0.5 - 1 / 3)
    assert (found['clips'], found['right']) == (4, '1000')


def test_a_diverged_run_is_wrong_in_each_clip(add_run, tmp_path):
    """There are four classes, all within the best five."""
    teacher = add_run('big', None, GOOD, kind='teacher')
    add_run('kd', 0, GOOD, diverged=True, teacher=teacher)
    _, entry = write_results(tmp_path / 'out')
    assert entry['right'] == '0000' and entry['agreement'] == 0
    found = measure(cached_scores(entry['scores']))
    assert (found['top1'], found['top5'], found['ece']) == (0, 0, None)


def test_a_comparison_is_over_the_common_seeds(add_run, tmp_path):
    add_run('a', 0, GOOD), add_run('a', 1, GOOD), add_run('b', 1, HALF)
    first, second = groups_of(tmp_path)
    result = compare(first, second)
    ends = score_interval(2, 0, 4)
    assert (result.seeds, result.difference) == (1, 50)
    assert (result.low, result.high) == pytest.approx([100 * e for e in ends])
    text = describe(first, second)
    assert '+50.0 points' in text and 'over clips, which' in text
    assert text.startswith(f'{first.name}\n  minus {second.name}:\n')
    assert '2.0 clips right only in the first, 0.0 only in the second' in text


def test_the_limits_of_few_seeds_are_printed(add_run, tmp_path):
    texts = []
    for seed in range(3):
        add_run('a', seed, GOOD), add_run('b', seed, HALF)
        texts.append(describe(*groups_of(tmp_path)))
    assert 'interval is over the clips only' in texts[0].splitlines()[-1]
    assert '4 clips, 1 seed; per' in texts[0]
    assert texts[1].splitlines()[-1].endswith('interval may be too narrow')
    assert texts[2].splitlines()[-1].endswith('only in the second')


def test_an_interval_over_groups_of_clips_is_printed(add_run, tmp_path):
    names = ['x_g02_d', 'x_g02_c', 'y_g01_b', 'y_g01_a']
    add_run('kd', 0, [0, 1, 2, 3], clips=names)
    add_run('alone', 0, [1, 2, 2, 3], clips=names)
    groups = group_runs(write_results(tmp_path / 'out'))
    text = describe(*groups, '_g[0-9]+')
    assert text.endswith(
        'clips in 2 groups that are right or wrong together: '
        '[-100.0, +100.0], which contains 0'
    )
    # The part in parentheses names the group.
    text = describe(*groups, '_g[0-9]+_(.)')
    assert 'clips in 4 groups' in text
    low, high = (100 * e for e in clustered_interval([0, 0, 1, 1], range(4)))
    assert f'[{low:+.1f}, {high:+.1f}]' in text
    # Of several parts, the first that matches.
    text = describe(*groups, '(x_g02)|(y_g01)')
    assert 'clips in 2 groups' in text
    assert 'groups' not in describe(*groups)


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('_g[0-9', "--clip-groups '_g[0-9' is no regular expression"),
        ('jack', "--clip-groups 'jack' matches nothing in a; give"),
        ('.*', '4 clips are in 1 group'),
        ('(_g[0-9]+)?', "--clip-groups '(_g[0-9]+)?' matches nothing in a"),
    ],
)
def test_groups_that_are_none_are_refused(add_run, tmp_path, pattern, message):
    names = ['d', 'c', 'b', 'a'] if pattern == 'jack' else ['a'] * 4
    for name in ('kd', 'alone'):
        add_run(name, 0, [0, 1, 2, 3], clips=names)
    groups = group_runs(write_results(tmp_path / 'out'))
    with pytest.raises(UserError, match=re.escape(message)):
        describe(*groups, pattern)


def test_a_teacher_is_compared_with_every_seed(add_run, tmp_path):
    add_run('big', None, GOOD, kind='teacher')
    add_run('kd', 0, HALF), add_run('kd', 1, BAD)
    first, second = groups_of(tmp_path)
    assert compare(second, first).difference == -75


def test_what_cannot_be_compared_is_refused(add_run, tmp_path):
    add_run('a', 0, GOOD), add_run('b', 1, HALF)
    add_run('c', 0, HALF, clips=['x', 'y', 'z', 'w'])
    groups = {g.name: g for g in groups_of(tmp_path)}
    with pytest.raises(UserError, match='no seed in common'):
        compare(groups['a'], groups['b'])
    with pytest.raises(UserError, match='different clips'):
        compare(groups['a'], groups['c'])


def test_a_setting_is_found_by_number_name_or_part(add_run, tmp_path):
    add_run('kd', 0, GOOD), add_run('kd_long', 0, HALF)
    add_run('other', 0, BAD)
    groups = groups_of(tmp_path)
    found = [find_group(groups, name).name for name in ('2', 'kd', 'oth')]
    assert found == ['kd_long', 'kd', 'other']
    with pytest.raises(UserError, match='one of several settings'):
        find_group(groups, 'd')
    with pytest.raises(UserError, match="did you mean 'other'"):
        find_group(groups, 'othr')
    for number in ('²', '0', '4'):  # no row of the table
        with pytest.raises(UserError, match=f"'{number}' is no setting"):
            find_group(groups, number)


def test_damaged_scores_name_the_remedy(add_run, tmp_path):
    folder = add_run('kd', 0, GOOD)
    path = Path(folder, 'scores.npz')
    path.write_bytes(b'')
    (group,) = groups_of(tmp_path)
    with pytest.raises(UserError, match='run.json and rerun'):
        group.scores  # noqa: B018
    # A changed byte among the compressed ones, which zlib reports.
    np.savez_compressed(path, clips=np.arange(999) % 7)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match='run.json and rerun'):
        load_scores(path)
    path.unlink()
    cached_scores.cache_clear()
    with pytest.raises(UserError, match='were not found; give --report'):
        group.scores  # noqa: B018


def test_there_is_a_figure_per_axis_and_one_of_each_kind(add_run, tmp_path):
    for alpha in (0.3, 0.7):
        for loss in ('KL', 'DIST'):
            labels = [('alpha', alpha), ('loss', loss), ('epochs', 2)]
            for seed, predicted in ((0, GOOD), (1, HALF)):
                add_run(f'kd{alpha}{loss}', seed, predicted, labels)
    add_run('big', None, GOOD, kind='teacher', parameters=9000)
    groups = groups_of(tmp_path)
    paths = save_figures(groups, tmp_path / 'figures')
    assert sorted(path.name for path in paths) == [
        'memory.png',
        'parameters.png',
        'settings.png',
        'top1_by_alpha.png',
        'top1_by_loss.png',
    ]
    assert all(Image.open(path).width > 700 for path in paths)


def test_names_with_dollar_signs_are_drawn(add_run, tmp_path):
    for loss in ('a$', '$\\b$'):
        for alpha in (0.3, 0.7):
            labels = [('alpha', alpha), ('$\\loss$', loss)]
            add_run(f'kd${alpha}{loss}$', 0, GOOD, labels)
    add_run('$\\big$', None, GOOD, kind='teacher', parameters=9000)
    paths = save_figures(groups_of(tmp_path), tmp_path / 'figures')
    assert len(paths) == 5 and all(path.stat().st_size for path in paths)
    assert rcParams['text.parse_math']


def test_a_name_tells_what_only_some_settings_have(add_run, tmp_path):
    add_run('kd', 0, GOOD, [('alpha', 0.5), ('loss', 'DIST')])
    warm = [('alpha', 0.5), ('loss', 'DIST'), ('temperature', 4)]
    add_run('kd', 1, HALF, warm)
    add_run('alone', 0, BAD, kind='alone')
    groups = groups_of(tmp_path)
    telling = telling_axes(groups)
    assert telling == {'temperature'}
    assert [short_name(group, telling) for group in groups] == [
        'kd',
        'kd temperature=4',
        'alone',
    ]


def test_results_are_plain_json(add_run, tmp_path):
    add_run('kd', 0, GOOD)
    groups_of(tmp_path)
    text = (tmp_path / 'out' / 'results.json').read_text()
    (run,) = json.loads(text)['runs']
    assert run['top1'] == 1 and run['status'] == 'done'


def test_results_have_the_outcomes_in_the_order_of_the_list(add_run, tmp_path):
    add_run('kd', 0, HALF, clips=['d', 'a', 'c', 'b'])
    add_run('kd', 1, HALF, clips=['d', 'a', 'c', 'b'])
    add_run('alone', 0, HALF, clips=['d', 'a', 'b', 'c'])
    runs = write_results(tmp_path / 'out')
    assert [run['right'] for run in runs] == ['1100'] * 3
    assert len({run['test_list'] for run in runs}) == 2
    assert runs[1]['test_list'] == runs[2]['test_list']
    assert [r['right'] for r in write_results(tmp_path / 'out')] == [
        '1100'
    ] * 3
    assert not list((tmp_path / 'out').glob('*.part'))
