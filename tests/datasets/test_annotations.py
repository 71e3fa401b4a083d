"""Lists of clips are written and read; mistakes in them are errors."""

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
        dict(dataset='hmdb51', split='official 1'),
    )
    write_annotations(tmp_path / 'list.txt', annotations)
    assert read_annotations(tmp_path / 'list.txt') == annotations
    assert [p.name for p in tmp_path.iterdir()] == ['list.txt']


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
