"""Lists of clips are written and read; mistakes in them are errors."""

import os

import pytest

from dvfl_mmaction.datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)
from dvfl_mmaction.errors import UserError


def test_names_labels_and_header_survive_a_file(tmp_path):
    annotations = Annotations(
        [('a/b c.avi', 3), ('ünï (1).mp4', 0), ('#4/#20_x.avi', 12)],
        dict(dataset='hmdb51', split='official 1', source='C: a: b'),
    )
    write_annotations(tmp_path / 'list.txt', annotations)
    assert read_annotations(tmp_path / 'list.txt') == annotations
    assert [p.name for p in tmp_path.iterdir()] == ['list.txt']


@pytest.mark.parametrize('label', [3, [3, 1]])
@pytest.mark.parametrize(
    'name',
    [
        *('# 1.mp4', '#1.mp4', '"a b".mp4', '"a.mp4"', "'a'", "'tis.mp4"),
        *(' a.mp4', '\u200ba.mp4', 'a.mp4\u200b', 'a\u200bb.mp4'),
    ],
)
def test_an_unusual_name_survives_a_file(tmp_path, name, label):
    path, several = tmp_path / 'list.txt', isinstance(label, list)
    clips = [(name, label), ('z.mp4', label)]
    write_annotations(path, Annotations(clips))
    assert read_annotations(path, multi_class=several).clips == clips


@pytest.mark.parametrize('hidden', ['\u200b', '\ufeff' * 3, '\u202a\u200e'])
def test_invisible_characters_at_the_ends_of_lines_are_skipped(
    tmp_path, hidden
):
    path = tmp_path / 'list.txt'
    lines = ['# split: paper', 'a.mp4 0', 'ü\u200d.mp4 1']
    text = ''.join(f'{hidden}{line}{hidden}\n' for line in lines)
    path.write_text(text, encoding='utf-8')
    read = read_annotations(path)
    assert read.clips == [('a.mp4', 0), ('ü\u200d.mp4', 1)]
    assert read.header == dict(split='paper')


def test_byte_order_marks_of_joined_lists_are_skipped(tmp_path):
    part = b'\xef\xbb\xbf"a, b.mp4",0\r\n'
    (tmp_path / 'list.txt').write_bytes(part + part)
    read = read_annotations(tmp_path / 'list.txt', delimiter=',')
    assert read.clips == [('a, b.mp4', 0)] * 2


def test_a_pipe_or_device_is_no_list(tmp_path):
    os.mkfifo(tmp_path / 'list.txt')
    for path in (tmp_path / 'list.txt', '/dev/zero'):
        with pytest.raises(UserError, match='pipe|device'):
            read_annotations(path)


def test_a_list_without_header_is_mmaction2s(tmp_path):
    (tmp_path / 'list.txt').write_text('a.avi 0\n\nb/c.avi 1\n')
    read = read_annotations(tmp_path / 'list.txt')
    assert read == Annotations([('a.avi', 0), ('b/c.avi', 1)])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a.avi 0\nb.avi\n', 'line 2'),
        ('a.avi -1\n', 'line 1'),
        ('a.avi one\n', 'line 1'),
        ('7\n', 'line 1'),
        ('# split: 1\n', 'holds no clip'),
    ],
)
def test_a_line_without_label_is_an_error(tmp_path, text, message):
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(UserError, match=message):
        read_annotations(tmp_path / 'list.txt')


def test_a_file_that_is_not_a_list_is_an_error(tmp_path):
    (tmp_path / 'list.txt').write_bytes(b'\xff\xfe\x00')
    for name in ('list.txt', 'absent.txt', '.'):
        with pytest.raises(UserError, match='is not a list|not found'):
            read_annotations(tmp_path / name)


def read_text(tmp_path, text, **layout):
    path = tmp_path / 'list.txt'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations(path, **layout)


@pytest.mark.parametrize(
    ('text', 'layout'),
    [
        ('a/b.mp4 0\nc d.mp4 1\n', {}),
        (b'\xef\xbb\xbfa/b.mp4 0\nc d.mp4 1\n', {}),
        ('a/b.mp4 0\r\nc d.mp4 1', {}),
        ('a/b.mp4 0\rc d.mp4 1\r', {}),
        (' a/b.mp4 0 \n\tc d.mp4 1\t\n \n', {}),
        ('a\\b.mp4 0\nc d.mp4 1\n', {}),
        ('"a/b.mp4" 0\n\'c d.mp4\' 1\n', {}),
        ('"a/b.mp4 0"\n\'c d.mp4 1\'\n', {}),
        ('a/b.mp4 0\n# c\n#\nc d.mp4 1\n# x.mp4 3\n', {}),
        ('a/b.mp4\t0\nc d.mp4 \t 1\n', {}),
        ('a/b.mp4\t0\nc d.mp4\t1\n', dict(delimiter='\t')),
        ('a/b.mp4\t0\nc d.mp4\t1\n', dict(delimiter=r'\t')),
        ('a/b.mp4,0\nc d.mp4, 1\n', dict(delimiter=',')),
        ('"a\\b.mp4","0"\n"c d.mp4" , "1"\n', dict(delimiter=',')),
    ],
)
def test_other_layouts_are_read_as_meant(tmp_path, text, layout):
    read = read_text(tmp_path, text, **layout)
    assert read == Annotations([('a/b.mp4', 0), ('c d.mp4', 1)])


@pytest.mark.parametrize(
    ('text', 'layout'),
    [
        ('a 1.mp4 0\nb.mp4 1 2\n', {}),
        ('a 1.mp4\t0\nb.mp4\t1\t2\n', dict(delimiter='\t')),
        ('a 1.mp4,0\n"b.mp4",1, 2\n', dict(delimiter=',')),
    ],
)
def test_several_labels_are_read_and_written(tmp_path, text, layout):
    read = read_text(tmp_path, text, multi_class=True, **layout)
    assert read == Annotations([('a 1.mp4', [0]), ('b.mp4', [1, 2])])
    write_annotations(tmp_path / 'copy.txt', read)
    assert read_annotations(tmp_path / 'copy.txt', multi_class=True) == read


@pytest.mark.parametrize(
    ('line', 'layout', 'message'),
    [
        ('a.mp4 0 1', {}, 'for several labels set multi_class=True'),
        ('"a b.mp4" 120 5', {}, 'for several labels set multi_class=True'),
        ('a.mp4,0,1', dict(delimiter=','), 'set multi_class=True'),
        ('a/b 120 5', {}, 'list of frame folders'),
        ('a/b,120,5', dict(delimiter=','), 'more than one number'),
        ('a.mp4 run 0', {}, "has 'run' between path and label"),
        ('a.mp4,0', {}, "looks separated by ',' .* set delimiter=','"),
        ('a.mp4, 0', {}, "looks separated by ','"),
        ('a.mp4: 0', {}, "looks separated by ':'"),
        ('a.mp4;0', {}, "looks separated by ';'"),
        ('a.mp4 0', dict(delimiter=','), "looks separated by ' '"),
        ('a.mp4 0,1', dict(multi_class=True), "looks separated by ','"),
        ('a.mp4 0,1', dict(delimiter=','), 'set multi_class=True'),
        ('a.mp4 1234567890123', {}, 'has no label'),
        ('a.mp4 -1', {}, 'has the label -1; labels count from 0'),
        ('a.mp4,-1', dict(delimiter=','), 'has the label -1'),
        ('a.mp4 2 -1', dict(multi_class=True), 'has the label -1'),
        ('a\0.mp4 0', {}, 'control character'),
        ('a.mp4 0\u2028b.mp4 1', {}, 'control character'),
        (b'caf\xe9.mp4 0', {}, 'not UTF-8'),
    ],
)
def test_a_layout_that_is_not_meant_is_refused(
    tmp_path, line, layout, message
):
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(UserError, match=message) as error:
        read_text(tmp_path, b'# split: 1\n' + line, **layout)
    assert 'list.txt' in str(error.value) and 'line 2' in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('text', 'layout'),
    [
        ('a 1.mp4 0\nb.mp4 -1\n', {}),
        ('a 1.mp4\t0\n"b.mp4"\t-1\n', dict(delimiter='\t')),
        ('a 1.mp4,0\n"b.mp4", "-1"\n', dict(delimiter=',')),
    ],
)
def test_clips_without_a_label_are_read_where_they_are_accepted(
    tmp_path, text, layout
):
    read = read_text(tmp_path, text, unlabelled=True, **layout)
    assert read.clips == [('a 1.mp4', 0), ('b.mp4', -1)]
    with pytest.raises(UserError, match='line 2.* has the label -1'):
        read_annotations(tmp_path / 'list.txt', **layout)
    write_annotations(tmp_path / 'copy.txt', read)
    assert read_annotations(tmp_path / 'copy.txt', unlabelled=True) == read


def test_the_first_clip_without_a_label_is_named(tmp_path):
    with pytest.raises(UserError, match="line 2: 'b.mp4 -1' has the label"):
        read_text(tmp_path, 'a.mp4 0\nb.mp4 -1\nc.mp4 -1\n')


@pytest.mark.parametrize(
    ('line', 'layout', 'message'),
    [
        ('a.mp4 -2', {}, 'has the label -2'),
        ('a.mp4 -1', dict(multi_class=True), 'has the label -1'),
        ('a.mp4,-1', {}, "looks separated by ','"),
    ],
)
def test_other_labels_below_0_are_refused(tmp_path, line, layout, message):
    with pytest.raises(UserError, match=message):
        read_text(tmp_path, line, unlabelled=True, **layout)


def test_a_number_may_end_a_name_if_the_delimiter_is_another(tmp_path):
    read = read_text(tmp_path, 'clip 12\t3', delimiter='\t')
    assert read.clips == [('clip 12', 3)]
    with pytest.raises(UserError, match='delimiter is None'):
        read_annotations(tmp_path / 'list.txt', delimiter=None)


def test_a_quote_that_is_not_around_the_name_is_part_of_it(tmp_path):
    read = read_text(tmp_path, "'a'b.mp4 0\n\"c.mp4 1\n\"d' 2\n")
    assert [name for name, _ in read.clips] == ["'a'b.mp4", '"c.mp4', '"d\'']


def test_a_list_of_the_same_size_and_time_is_read_anew(tmp_path):
    """As one that was copied with its time, or renamed."""
    read_text(tmp_path, 'a.mp4 0\n')
    path, other = tmp_path / 'list.txt', tmp_path / 'other.txt'
    other.write_text('b.mp4 0\n')
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    os.utime(other, ns=times)
    other.replace(path)
    assert path.stat().st_mtime_ns == times[1]
    assert read_annotations(path).clips == [('b.mp4', 0)]


def test_a_list_is_parsed_once_until_it_changes(tmp_path, monkeypatch):
    first = read_text(tmp_path, 'a.mp4 0\n')
    first.clips.clear()
    first.header['split'] = 'mine'
    path = tmp_path / 'list.txt'
    with monkeypatch.context() as patch:
        patch.delattr('dvfl_mmaction.datasets.annotations.parse_line')
        again = read_annotations(path)
    assert again == Annotations([('a.mp4', 0)])
    assert read_annotations(path, multi_class=True).clips == [('a.mp4', [0])]
    write_annotations(path, Annotations([('b.mp4', 0)]))
    assert read_annotations(path).clips == [('b.mp4', 0)]
