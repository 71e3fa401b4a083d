"""The curves of docs/results.md: drawn from event files as they are."""

import runpy
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

SCRIPT = Path(__file__).parents[1] / 'docs' / 'make_curves.py'


@pytest.fixture(scope='module')
def names():
    return runpy.run_path(str(SCRIPT))


def write_events(folder, start, stop, offset=0.0):
    with SummaryWriter(str(folder)) as writer:
        for step in range(start, stop):
            writer.add_scalar('loss_cls', step + offset, step)
            writer.add_scalar('lr', 0.5, step)
            writer.add_scalar('acc/top1', 0.25, step)


def test_a_resumed_run_replaces_the_steps_that_it_repeats(tmp_path, names):
    write_events(tmp_path / '20260101_000000' / 'vis_data', 1, 4)
    write_events(tmp_path / '20260101_000001' / 'vis_data', 3, 6, offset=0.5)
    values = names['read_scalar'](tmp_path, 'loss_cls')
    assert values == {1: 1, 2: 2, 3: 3.5, 4: 4.5, 5: 5.5}
    with pytest.raises(SystemExit, match='no scalar loss_kd below'):
        names['read_scalar'](tmp_path, 'loss_kd')


def test_each_panel_has_a_line_per_run(tmp_path, names):
    for name in ('alone', 'distilled'):
        write_events(tmp_path / name, 1, 4)
    runs = {name: tmp_path / name for name in ('alone', 'distilled')}
    figure = names['draw_curves'](runs, dict(distilled=0.5))
    assert len(figure.axes) == 3
    loss, accuracy, rate = (
        [line.get_ydata().tolist() for line in axes.lines]
        for axes in figure.axes
    )
    assert loss == [[1, 2, 3], [2, 4, 6]]  # divided by the weight
    assert accuracy == [[25] * 3] * 2 and rate == [[0.5] * 3] * 2
    legend = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ['alone', 'distilled']
