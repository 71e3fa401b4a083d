"""Clips to choose from."""

import pytest
from small_recipe import write_clip

from dvfl_mmaction.deployment.web.examples import MOST, find_examples
from dvfl_mmaction.errors import UserError

LINES = 'a.mp4 0\nb.mp4 0\nno.mp4 2\nc.mp4 1\n'


def config(*datasets):
    return dict(test_dataloader=dict(dataset=dict(datasets=datasets)))


@pytest.fixture
def folder(tmp_path):
    """A data set of three clips, and its list."""
    (tmp_path / 'videos').mkdir()
    for name in ('a', 'b', 'c'):
        write_clip(tmp_path / 'videos' / f'{name}.mp4', 0, frames=2)
    (tmp_path / 'test.txt').write_text(LINES)
    return tmp_path


def videos(folder, names):
    return [str(folder / 'videos' / f'{name}.mp4') for name in names]


def test_one_clip_per_class_of_a_folder_is_found(folder):
    assert find_examples(str(folder), {}) == videos(folder, 'ac')
    found = find_examples(str(folder / 'videos'), {})
    assert found == videos(folder, 'abc')
    # Clips of the same labels are of one kind.
    (folder / 'test.txt').write_text('a.mp4 0 1\nb.mp4 0 1\nc.mp4 1\n')
    assert find_examples(str(folder), {}) == videos(folder, 'ac')
    for number in range(7):
        write_clip(folder / f'{number}.mp4', 0, frames=1)
    lines = [f'{label}.mp4 {label}' for label in range(7)]
    (folder / 'test.txt').write_text('\n'.join(lines))
    assert len(find_examples(str(folder), {})) == MOST


def test_the_clips_of_the_configs_test_list_are_found(folder):
    (folder / 'test.txt').rename(folder / 'mine_val_split_1_videos.txt')
    (folder / 'test.txt').write_text('b.mp4 0\n')  # of another data set
    dataset = dict(
        data_root=str(folder),
        ann_file='mine_val_split_1_videos.txt',
        data_prefix=dict(video='videos'),
    )
    assert find_examples(None, config(dataset)) == videos(folder, 'ac')
    other = dict(dataset, ann_file='test.txt')
    assert find_examples(None, config(other, dataset)) == videos(folder, 'bc')


def test_the_clips_of_a_list_with_several_labels_are_found(folder):
    (folder / 'test.txt').write_text('a.mp4 0 1\nb.mp4 0 1\nc.mp4 1\n')
    dataset = dict(
        ann_file=str(folder / 'test.txt'),
        data_prefix=dict(video=str(folder / 'videos')),
        multi_class=True,
    )
    assert find_examples(None, config(dataset)) == videos(folder, 'ac')


def test_missing_data_give_no_examples_but_a_missing_folder_an_error(tmp_path):
    assert find_examples(None, {}) == []
    absent = dict(data_root=str(tmp_path / 'none'), ann_file='test.txt')
    assert find_examples(None, config(absent)) == []
    (tmp_path / 'test.txt').write_text(LINES)
    empty = dict(absent, data_root=str(tmp_path))
    assert find_examples(None, config(empty)) == []
    with pytest.raises(UserError, match='is no folder'):
        find_examples(str(tmp_path / 'none'), {})
