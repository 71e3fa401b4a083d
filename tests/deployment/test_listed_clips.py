"""The clips of the lists of a config."""

import pytest
from mmengine.config import Config

from dvfl_mmaction.deployment.listed_clips import find_listed_clips
from dvfl_mmaction.errors import UserError


def test_all_lists_of_a_loader_are_read(tmp_path):
    """A ConcatDataset has several, each with a root of its own."""
    parts = []
    for number, folder in enumerate(('a', 'b')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'val.txt').write_text(f'{folder}.mp4 {number}\n')
        root = str(tmp_path / folder)
        parts.append(dict(data_root=root, ann_file='val.txt'))
    loader = dict(dataset=dict(type='ConcatDataset', datasets=parts))
    found = find_listed_clips(Config(dict(val_dataloader=loader)), 'val')
    assert [(clip.path, clip.label) for clip in found] == [
        (tmp_path / 'a' / 'a.mp4', 0),
        (tmp_path / 'b' / 'b.mp4', 1),
    ]
    with pytest.raises(UserError, match='no val_dataloader with a list'):
        find_listed_clips(Config({}), 'val')
