"""Fixtures of the tests of folds."""

import pytest


@pytest.fixture
def root(tmp_path):
    """Two lists: 7 clips of class 0, 5 of class 1, one without a label."""
    (tmp_path / 'videos').mkdir()
    first = [f'a/seg{i}.mp4 0' for i in range(10, 3, -1)]
    second = [f'b/seg{i}.mp4 1' for i in range(5)]
    (tmp_path / 'train.txt').write_text(
        '\n'.join([*first[:5], *second[:2], 'c.mp4 -1'])
    )
    (tmp_path / 'test.txt').write_text(
        '\n'.join([*first[4:], *second[2:]])  # one clip is in both
    )
    (tmp_path / 'classes.txt').write_text('a\nb\n')
    return tmp_path
