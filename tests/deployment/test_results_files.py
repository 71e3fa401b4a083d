"""Tests of a checkpoint are found wherever they were written."""

import json
import os

import pytest
import torch
from mmaction.registry import METRICS

from dvfl_mmaction.deployment.metadata import find_accuracy
from dvfl_mmaction.deployment.work_dir import find_results
from dvfl_mmaction.files import hash_file


@pytest.fixture
def write(tmp_path):
    """Write a checkpoint; the function that writes a test of it."""
    (tmp_path / 'epoch_1.pth').write_bytes(b'weights')
    sha256 = hash_file(tmp_path / 'epoch_1.pth')

    def write(name, top1=None, age_s=0, **changes):
        path = tmp_path / name / 'results.json'
        path.parent.mkdir(parents=True)
        results = dict(
            clips=4,
            views=dict(form='1x1'),
            checkpoint=dict(sha256=sha256),
        )
        if top1 is not None:
            results['top1'] = top1
        path.write_text(json.dumps(results | changes))
        os.utime(path, (1e9 - age_s,) * 2)

    write.folder, write.sha256 = tmp_path, sha256
    return write


def top1_of(write):
    lines = []
    results, others = find_results(write.folder, write.sha256, lines.append)
    return [entry['top1'] for entry in results], others, lines


@pytest.mark.parametrize(
    'name',
    ['20260101_000000', 'test_1x1/20260101_000000', 'a/b/20260101_000000'],
)
def test_tests_with_a_work_dir_of_their_own_are_found(write, name):
    write(name, 0.5)
    write('test_other/20260101_000000', 0.9, checkpoint=dict(sha256='0'))
    write('data/videos/class/clip', 0.9)  # too deep
    assert top1_of(write) == ([0.5], 1, [])
    assert find_accuracy(write.folder / 'epoch_1.pth')['top1'] == 0.5


@pytest.mark.parametrize(
    'older, newer',
    [
        (('z', 9), ('a', 0)),
        (('z/20260101_000000', 0), ('a/20260102_000000', 9)),
        (('z/20260101_000000', 0), ('a/20260101_000001', 0)),
        (('z/20261399_000000', 9), ('a', 0)),  # no date
    ],
)
def test_the_newest_test_counts_whatever_its_folder_is_called(
    write, older, newer
):
    write(older[0], 0.1, older[1])
    write(newer[0], 0.2, newer[1])
    write('views', 0.3, views=dict(form='4x3'))
    assert sorted(top1_of(write)[0]) == [0.2, 0.3]
    (write.folder / 'views' / 'results.json').unlink()
    assert find_accuracy(write.folder / 'epoch_1.pth')['top1'] == 0.2


@pytest.mark.parametrize(
    ('label', 'names'),
    [
        ([1], {'top1', 'top5', 'mean1'}),
        ([0, 1], {'mean_average_precision'}),  # several labels per clip
    ],
)
def test_the_measures_of_a_test_are_found_by_their_names(write, label, names):
    metric = METRICS.build(dict(type='ClipMetric'))
    label, scores = torch.tensor(label), torch.tensor([0.3, 0.7])
    metric.process(None, [dict(pred_score=scores, gt_label=label)])
    metric.evaluate(1)
    write('a', **metric.report, split='paper')
    found = find_accuracy(write.folder / 'epoch_1.pth')
    assert found.keys() == names | {'clips', 'views', 'split'}
    assert {found[name] for name in names} == {1.0}


def test_files_that_are_no_results_are_reported_and_skipped(write, capsys):
    write('b', 0.5)
    for name, text in (
        ('cut', '{"top1":'),
        ('list', '[]'),
        ('text', '\N{BULLET}'),
        ('deep', '[' * 100_000),
        ('runs', '{"runs": []}'),  # of tools/ablate.py
        ('odd', '{"checkpoint": "a", "views": 3}'),
    ):
        (write.folder / name).mkdir()
        path = write.folder / name / 'results.json'
        path.write_text(text, encoding='utf-16' if name == 'text' else None)
    write('bare', 0.6, views=None)
    found, others, lines = top1_of(write)
    assert (found, others) == ([0.5], 1)
    for name in ('cut', 'list', 'text', 'deep', 'bare'):
        (line,) = [one for one in lines if f'{name}/results.json' in one]
        assert line.startswith('skipped ') and '\n' not in line
    assert len(lines) == 5
    (write.folder / 'bare' / 'results.json').unlink()
    assert find_accuracy(write.folder / 'epoch_1.pth')['top1'] == 0.5
    assert capsys.readouterr().out.count('skipped ') == 4
