"""The confusion figure is legible and lists the worst pairs."""

import itertools

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm

from dvfl_mmaction.evaluation.clip_metric import hardest_pairs
from dvfl_mmaction.evaluation.confusion_figure import (
    plot_confusion,
    save_confusion_figure,
)


def plot(counts, class_names=None):
    return plot_confusion(counts, hardest_pairs(counts), class_names, 'title')


def diagonal(num_classes, clips=40):
    return np.diag(np.full(num_classes, clips))


def tick_names(figure):
    axes = figure.axes[0]
    ticks = axes.get_xticklabels(), axes.get_yticklabels()
    return [[label.get_text() for label in labels] for labels in ticks]


@pytest.mark.parametrize(
    ('num_classes', 'shown'), [(4, True), (120, True), (121, False)]
)
def test_names_are_on_the_axes_up_to_120_classes(num_classes, shown):
    names = [f'class {i}' for i in range(num_classes)]
    for labels in tick_names(plot(diagonal(num_classes), names)):
        assert (labels == names) is shown
        assert ('class 1' in labels) is shown


def test_without_names_the_labels_are_on_the_axes():
    assert tick_names(plot(diagonal(3)))[1] == ['0', '1', '2']


@pytest.mark.parametrize('names', [['a', 'b'], ['a', 'b', 'c', 'd'], []])
def test_names_of_another_number_are_left_out(names):
    counts = diagonal(3)
    counts[0, 2] = 10
    figure = plot(counts, names)
    assert tick_names(figure) == [['0', '1', '2']] * 2
    assert '→ 2' in figure.axes[1].texts[0].get_text()


def test_the_worst_pairs_are_listed_and_marked():
    counts = diagonal(30)
    counts[3, 7], counts[5, 2] = 10, 24
    figure = plot(counts, [f'class {i}' for i in range(30)])
    assert figure.axes[1].texts[0].get_text().splitlines() == [
        'Most confused (true → predicted)',
        '1.  37.5 % (24 clips)',
        '      class 5',
        '   → class 2',
        '2.  20.0 % (10 clips)',
        '      class 3',
        '   → class 7',
    ]
    marks = [line.get_xydata().tolist() for line in figure.axes[0].lines]
    assert marks == [[[2, 5]], [[7, 3]]]
    assert [text.get_text() for text in figure.axes[0].texts] == ['1', '2']


def test_rows_are_divided_by_their_sums_and_empty_cells_have_no_colour():
    figure = plot(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 8]]))
    shares = figure.axes[0].images[0].get_array()
    wanted = np.zeros((3, 3))
    wanted[0] = 0.75, 0.25, 0
    wanted[2, 2] = 1
    np.testing.assert_allclose(shares.filled(0), wanted)
    assert (shares.mask == (wanted == 0)).all()
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert numbers == ['75', '25', '100']


def test_the_colour_scale_is_logarithmic():
    norm = plot(diagonal(3)).axes[0].images[0].norm
    assert type(norm) is LogNorm
    assert norm([0.001, 0.01, 0.1, 1]).tolist() == pytest.approx(
        [0, 0, 0.5, 1]
    )


@pytest.mark.parametrize('num_classes', [4, 101])
def test_names_do_not_overlap_and_the_list_fits(num_classes):
    counts = diagonal(num_classes)
    counts[:4, :4] += 1  # 12 confused pairs
    figure = plot(counts, ['a class with a long name'] * num_classes)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    labels = figure.axes[0].get_yticklabels()
    boxes = [label.get_window_extent(renderer) for label in labels]
    for box, following in itertools.pairwise(boxes):
        assert not box.overlaps(following)
    listed = figure.axes[1].texts[0]
    assert listed.get_text().count('→') == 11
    box, whole = listed.get_window_extent(renderer), figure.bbox
    assert box.x0 >= 0 and box.x1 <= whole.x1
    assert box.y0 >= 0 and box.y1 <= whole.y1


def test_a_long_name_is_cut_in_the_list():
    counts = np.array([[1, 1], [0, 2]])
    names = ['x' * 49, 'y' * 48]
    listed = plot(counts, names).axes[1].texts[0].get_text()
    assert 'x' * 47 + '…' in listed and 'x' * 48 not in listed
    assert 'y' * 48 in listed


def test_dollar_signs_of_names_are_no_formulas(tmp_path):
    counts = diagonal(2)
    counts[0, 1] = 10
    names = ['$x_$', '5 $ or 6 $']
    figure = plot_confusion(counts, hardest_pairs(counts), names, '$\\a$')
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    ticks = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    texts = [axes.title, *ticks, *(t for a in figure.axes for t in a.texts)]
    assert not any(t.get_parse_math() for t in texts if '$' in t.get_text())


def test_400_classes_have_several_pixels_per_class(tmp_path):
    counts = diagonal(400)
    counts[300, 100] = 20
    path = tmp_path / 'confusion.png'
    save_confusion_figure(path, counts, hardest_pairs(counts))
    picture = cv2.imread(str(path))
    assert picture.shape == (2400, 3000, 3)
    # The diagonal has the darkest colour of the scale, in BGR.
    darkest = (picture == (84, 1, 68)).all(2).sum()
    assert darkest > 400 * 4 * 4


def test_long_names_are_cut_and_leave_room_for_the_matrix():
    names = [f'{i} is a class with a name of a whole sentence' for i in '012']
    names = [name + ' that goes on and on' * 5 for name in names]
    counts = diagonal(3)
    counts[0, 2] = 10
    figure = plot(counts, names)
    FigureCanvasAgg(figure).draw()
    box = figure.axes[0].get_window_extent()
    assert min(box.width, box.height) > 100  # of 700 pixels
    shown = [name[:47] + '…' for name in names]
    assert tick_names(figure) == [shown, shown]
    lines = figure.axes[1].texts[0].get_text().splitlines()
    assert lines[2:] == [f'      {shown[0]}', f'   → {shown[2]}']
