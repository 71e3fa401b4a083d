"""The clips that arguments, folders and lists name."""

import pytest

from dvfl_mmaction.analysis.prediction.clips import (
    Clip,
    check_labels,
    find_clips,
)
from dvfl_mmaction.analysis.prediction.run import (
    Outputs,
    key_of,
    resume_hint,
)
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.preparation.clips.journal import Journal


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')


def test_files_folders_patterns_and_lists_are_found_once(tmp_path):
    a, b, c = (
        tmp_path / name for name in ('a.mp4', 'deep/er/b.AVI', 'ü c 1.mkv')
    )
    touch(a, b, c, tmp_path / 'deep' / 'notes.pdf', tmp_path / 'odd')
    (tmp_path / 'list.txt').write_text(
        '# dataset: mine\n\nü c 1.mkv 3\r\na.mp4\n"deep/er/b.AVI" 2\n',
        encoding='utf-8',
    )
    listed = find_clips([str(tmp_path / 'list.txt')])
    assert [(clip.path, clip.label) for clip in listed] == [
        (c, 3),
        (a, None),
        (b, 2),
    ]
    assert listed[0].name == 'ü c 1.mkv'
    words = [str(tmp_path / 'odd'), str(a), str(tmp_path / '*.m*')]
    clips = find_clips([*words, str(tmp_path / 'deep'), str(tmp_path)])
    assert [clip.path for clip in clips] == [tmp_path / 'odd', a, c, b]
    kept = find_clips([str(tmp_path)], excluded=tmp_path / 'deep')
    assert {clip.path for clip in kept} == {a, c}
    # The same files by other ways; a link leads the '..' elsewhere.
    (tmp_path / 'link').symlink_to(tmp_path / 'deep' / 'er')
    touch(tmp_path / 'deep' / 'a.mp4')
    ways = ['deep/../a.mp4', 'link/../a.mp4', 'deep/a.mp4', 'a.mp4']
    clips = find_clips([str(tmp_path / way) for way in ways])
    assert [clip.path for clip in clips] == [tmp_path / w for w in ways[:2]]
    ways = [f'deep/../{way}' for way in ('deep/er/b.AVI', 'a.mp4')]
    clips = find_clips(
        [str(tmp_path / w) for w in ways], None, tmp_path / 'link'
    )
    assert [clip.path for clip in clips] == [tmp_path / ways[1]]


def test_paths_of_a_list_are_relative_to_it_to_its_videos_or_a_root(tmp_path):
    touch(tmp_path / 'data' / 'videos' / 'x' / 'a.avi')
    path = tmp_path / 'data' / 'test.txt'
    path.write_text('x/a.avi 1\n')
    (clip,) = find_clips([str(path)])
    assert clip.path == tmp_path / 'data' / 'videos' / 'x' / 'a.avi'
    (clip,) = find_clips([str(path)], root=str(tmp_path / 'other'))
    assert clip.path == tmp_path / 'other' / 'x' / 'a.avi'
    touch(tmp_path / 'data' / 'x' / 'a.avi')  # before that in videos
    (clip,) = find_clips([str(path)])
    assert clip.path == tmp_path / 'data' / 'x' / 'a.avi'


def test_a_label_of_minus_1_is_none(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a.mp4 -1\nb.mp4 0\nc d.mp4 -1\n')
    assert [c.label for c in find_clips([str(path)])] == [None, 0, None]
    path.write_text('a.mp4 -2\n')
    with pytest.raises(UserError, match='line 1: .* has the label -2; labels'):
        find_clips([str(path)])
    with pytest.raises(UserError, match='has the label -1 but the model has'):
        check_labels([Clip(path, 'a.mp4', -1)], 4)


def test_what_names_no_video_is_refused(tmp_path):
    for word in ('absent.mp4', 'no*.mp4'):
        with pytest.raises(UserError, match='was not found'):
            find_clips([str(tmp_path / word)])
    with pytest.raises(UserError, match='no video found in'):
        find_clips([str(tmp_path)])
    (tmp_path / 'list.txt').write_text('a.mp4 1\nb.mp4 one\n')
    with pytest.raises(UserError, match='list.txt, line 2'):
        find_clips([str(tmp_path / 'list.txt')])
    with pytest.raises(UserError, match='label 4 but the model has 4'):
        check_labels([Clip(tmp_path / 'a.mp4', 'a.mp4', 4)], 4)


def test_several_labels_are_read_where_they_are_wanted(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a b.mp4 3 0\nc.mp4 2\nd.mp4\n"e.avi" 1 4\nf.mkv -1\n')
    clips = find_clips([str(path)], several_labels=True)
    assert [clip.name for clip in clips] == [
        *('a b.mp4', 'c.mp4', 'd.mp4', 'e.avi', 'f.mkv')
    ]
    assert [clip.label for clip in clips] == [(3, 0), 2, None, (1, 4), None]
    with pytest.raises(UserError, match='a b.mp4 has several labels but the'):
        check_labels(clips, 5)
    check_labels(clips, 5, several_labels=True)
    with pytest.raises(UserError, match='e.avi has the label 4 but the model'):
        check_labels(clips, 4, several_labels=True)
    with pytest.raises(UserError, match='line 1: .* more than one number'):
        find_clips([str(path)])
    for line in ('folder 120 3', 'a.mp4 3 -1', 'a.mp4 3,1', 'a.mp4 x 1 2'):
        path.write_text(line + '\n')
        with pytest.raises(UserError, match='list.txt, line 1'):
            find_clips([str(path)], several_labels=True)


def test_a_folder_is_searched_through_links_once_and_not_what_is_hidden(
    tmp_path,
):
    """As the folder ``videos`` of Kinetics, and a disk that macOS wrote."""
    a, b = tmp_path / 'train' / 'a.mp4', tmp_path / 'z' / 'b.mp4'
    touch(a, b, tmp_path / 'train' / '._a.mp4', tmp_path / '.trash' / 'c.mp4')
    links = tmp_path / 'videos'
    links.mkdir()
    (links / 'train').symlink_to(tmp_path / 'train')
    (links / 'again').symlink_to(links)
    assert [c.path for c in find_clips([str(links)])] == [
        links / 'train/a.mp4'
    ]
    (tmp_path / 'above').symlink_to(tmp_path)
    (tmp_path / 'a link').symlink_to(tmp_path / 'train')
    assert [c.path for c in find_clips([str(tmp_path)])] == [a, b]


@pytest.mark.parametrize('turn', [1, -1])
def test_a_list_labels_what_a_folder_names(tmp_path, turn):
    touch(tmp_path / 'a.mp4', tmp_path / 'b.mp4')
    (tmp_path / 'list.txt').write_text('b.mp4 1\n')
    (tmp_path / 'later.txt').write_text('b.mp4 0\na.mp4 -1\n')
    words = [str(tmp_path), str(tmp_path / 'list.txt')][::turn]
    clips = find_clips([*words, str(tmp_path / 'later.txt')])
    found = {clip.path.name: clip.label for clip in clips}
    assert found == {'a.mp4': None, 'b.mp4': 1}
    assert [clip.path.name for clip in clips] == ['a.mp4', 'b.mp4'][::turn]


def test_the_hint_counts_what_a_rerun_will_find(tmp_path):
    """Not a clip without its picture, nor one that was not written."""
    outputs = Outputs(json=tmp_path / 'p.json')
    clips = [Clip(tmp_path / f'{name}.mp4', name) for name in 'abc']
    with Journal(outputs.journal) as journal:
        for clip in clips[:2]:
            journal.append(key_of(clip), dict(size=1), dict(scores=[1.0]))
    targets = [(), (tmp_path / 'b.png',), ()]
    hint = resume_hint(clips, [dict(size=1)] * 3, targets, outputs)
    assert hint.startswith('stopped; 1 of 3 clips are kept in ')
