"""Clips to choose from."""

import pytest
from small_recipe import write_clip

from dvfl_mmaction.deployment.web.examples import (
    MOST,
    find_data_root,
    find_examples,
)
from dvfl_mmaction.errors import UserError


def test_one_clip_per_class_of_the_list_is_found(tmp_path):
    (tmp_path / 'videos').mkdir()
    for name in ('a', 'b', 'c'):
        write_clip(tmp_path / 'videos' / f'{name}.mp4', 0, frames=2)
    (tmp_path / 'test.txt').write_text('a.mp4 0\nb.mp4 0\nc.mp4 1\nno.mp4 2\n')
    expected = [str(tmp_path / 'videos' / f'{name}.mp4') for name in 'ac']
    assert find_examples(None, str(tmp_path)) == expected
    videos = str(tmp_path / 'videos')
    assert len(find_examples(videos, None)) == 3
    # Clips of the same labels are of one kind.
    (tmp_path / 'test.txt').write_text('a.mp4 0 1\nb.mp4 0 1\nc.mp4 1\n')
    assert find_examples(str(tmp_path), None) == expected
    for number in range(7):
        write_clip(tmp_path / f'{number}.mp4', 0, frames=1)
    lines = [f'{label}.mp4 {label}' for label in range(7)]
    (tmp_path / 'test.txt').write_text('\n'.join(lines))
    assert len(find_examples(str(tmp_path), None)) == MOST


def test_missing_data_give_no_examples_but_a_missing_folder_an_error(tmp_path):
    assert find_examples(None, None) == []
    assert find_examples(None, str(tmp_path / 'none')) == []
    assert find_examples(None, str(tmp_path)) == []
    with pytest.raises(UserError, match='is no folder'):
        find_examples(str(tmp_path / 'none'), None)


def test_the_data_of_wrapped_lists_are_found():
    plain = dict(ann_file='test.txt', data_root='data/a')
    wrapped = dict(datasets=[dict(ann_file='b.txt'), plain])
    for dataset, root in ((plain, 'data/a'), (wrapped, 'data/a'), ({}, None)):
        cfg = dict(test_dataloader=dict(dataset=dataset))
        assert find_data_root(cfg) == root
    assert find_data_root({}) is None
