"""The folder ``videos`` of the user, and links in it."""

from pathlib import Path

import pytest
from miniature_datasets import MAKERS, write_stand_in

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets.annotations import read_annotations
from dvfl_mmaction.preparation import prepare
from dvfl_mmaction.preparation.readers.disk import list_files


def make(name, root):
    MAKERS[name](root, write_stand_in, archives=False)
    return root


def clips(prepared, split, part):
    return read_annotations(prepared.lists[split, part]).clips


def test_a_videos_folder_of_the_user_is_used(tmp_path):
    root = make('ucf101', tmp_path)
    (root / 'UCF-101').rename(root / 'videos')
    prepared = prepare('ucf101', root)
    assert len(clips(prepared, '1', 'train')) == 12
    assert not (root / 'videos').is_symlink()


def test_links_in_a_circle_are_followed_once(tmp_path):
    videos, other = tmp_path / 'videos', tmp_path / 'other'
    for folder in (videos / 'a', other):
        folder.mkdir(parents=True)
        (folder / 'clip.mp4').touch()
    (videos / 'a/up').symlink_to(videos)  # holds itself
    (videos / 'b').symlink_to(other)
    (videos / 'c').symlink_to(other)  # twice, but in no circle
    (other / 'back').symlink_to(videos)
    assert list_files(videos) == [
        f'{name}/clip.mp4' for name in ('a', 'b', 'c')
    ]


@pytest.mark.parametrize(
    ('name', 'link'), [('ucf101', 'videos'), ('k400', 'videos/train')]
)
def test_a_link_to_a_disk_that_is_not_mounted_stays(tmp_path, name, link):
    root = make(name, tmp_path / 'root')
    link, disk = root / link, tmp_path / 'disk'
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(disk)
    with pytest.raises(UserError, match=f'link to {disk}, which does not'):
        prepare(name, root)
    assert link.readlink() == disk


def test_a_link_of_an_earlier_run_is_made_again(tmp_path):
    root = make('ucf101', tmp_path)
    (root / 'videos').symlink_to('renamed')
    prepare('ucf101', root)
    assert (root / 'videos').readlink() == Path('UCF-101')


def test_k400_uses_the_clips_that_its_lists_lead_to(tmp_path):
    """Those in ``videos``, although ``train`` and ``val`` hold archives."""
    root = make('k400', tmp_path)
    for part in ('train', 'val'):
        (root / part).rename(tmp_path / 'held')
        (root / 'videos').mkdir(exist_ok=True)
        (tmp_path / 'held').rename(root / 'videos' / part)
        (root / part).mkdir()
        (root / part / 'part_0.tar.gz').touch()
    prepared = prepare('k400', root, strict=True)
    for name, _ in clips(prepared, 'official', 'train'):
        assert (prepared.videos / name).is_file()
    assert not (root / 'videos/train').is_symlink()
