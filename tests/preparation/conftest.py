"""Fixtures of the tests of preparation."""

from pathlib import Path

import pytest
from hostile_clips import write_video


@pytest.fixture
def root(tmp_path) -> Path:
    """A data set of three whole clips and an empty file, in two lists."""
    root = tmp_path / 'data'
    videos = root / 'videos'
    (videos / 'x').mkdir(parents=True)
    for name in ('x/a.avi', 'x/b c.avi', 'd.avi'):
        write_video(videos / name, 10, codec='mpeg4')
    (videos / 'empty.avi').touch()
    (root / 'train.txt').write_text(
        '# dataset: small\nx/a.avi 0\nx/b c.avi 1\nempty.avi 1\n'
    )
    (root / 'val.txt').write_text('x/a.avi 0\nd.avi 1\n')
    (root / 'classes.txt').write_text('x\ny\n')
    return root
