"""The README's picture: its labels can be read."""

import runpy
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.transforms import Bbox

DOCS = Path(__file__).parents[1] / 'docs'


@pytest.fixture(scope='module')
def labels():
    """Extent of each label, and that of the whole figure as ''."""
    draw = runpy.run_path(str(DOCS / 'make_figures.py'))['draw_overview']
    figure = draw()
    figure.canvas.draw()
    extents = {
        (number, text.get_text()): text.get_window_extent()
        for number, text in enumerate(figure.axes[0].texts)
        if text.get_text()
    }
    return extents, figure.bbox


def test_labels_do_not_overlap(labels):
    extents, _ = labels
    assert len(extents) == 25
    assert not [
        (first, second)
        for first, second in combinations(extents, 2)
        if Bbox.intersection(extents[first], extents[second])
    ]


def test_labels_are_inside_the_figure(labels):
    extents, whole = labels
    for name, extent in extents.items():
        assert whole.containsx(extent.x0), name
        assert whole.containsx(extent.x1), name
        assert whole.containsy(extent.y0), name
        assert whole.containsy(extent.y1), name


def test_the_picture_is_small():
    assert (DOCS / 'overview.png').stat().st_size < 200_000


def test_the_pictures_of_the_tools_are_small():
    sizes = [path.stat().st_size for path in (DOCS / 'pictures').iterdir()]
    assert len(sizes) >= 6 and sum(sizes) < 700_000
