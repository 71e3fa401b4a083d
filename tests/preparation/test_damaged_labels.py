"""A damaged file of labels is reported with its line or entry."""

import codecs

import pytest
from miniature_datasets import MAKERS, write_stand_in

from dvfl_mmaction import UserError
from dvfl_mmaction.preparation import prepare

ROW = b'abseiling,Zxr-AT3Yc4o,0,10,train'
DAMAGED = {
    'k400, cut in a row': (
        'annotations/train.csv',
        lambda text: text[: text.index(ROW) + 21],
        "train.csv, line 5: 'abseiling,Zxr-AT3Yc4o', but label,",
    ),
    'k400, cut before the last column': (
        'annotations/train.csv',
        lambda text: text[: text.index(ROW) + 26],
        "line 5: 'abseiling,Zxr-AT3Yc4o,0,10', but label,",
    ),
    'k400, no times': (
        'annotations/val.csv',
        lambda text: text.replace(b',417,', b',nan,'),
        'val.csv, line 2: .* the file is damaged, download it again',
    ),
    'k400, no text': (
        'annotations/val.csv',
        lambda text: text + b'\xff',
        'val.csv is not CSV in UTF-8',
    ),
    'ucf101, no class': (
        'ucfTrainTestlist/classInd.txt',
        lambda text: text.replace(b' Archery', b''),
        "classInd.txt has the line '2', but a number and a class",
    ),
    'ucf101, no number': (
        'ucfTrainTestlist/classInd.txt',
        lambda text: text.replace(b'2', b'two'),
        "has the line 'two Archery', but a number and a class",
    ),
    'ucf101, a gap': (
        'ucfTrainTestlist/classInd.txt',
        lambda text: text.replace(b'2', b'3'),
        'does not number its classes from 1',
    ),
    'ssv2, a number': (
        'labels/train.json',
        lambda text: b'[{"id": "7"}, 7]',
        'train.json, entry 2: 7, but an object with an id was expected',
    ),
    'ssv2, no id': (
        'labels/test.json',
        lambda text: b'[{}]',
        'test.json, entry 1: {}, but an object with an id was expected',
    ),
    'ssv2, no label': (
        'labels/labels.json',
        lambda text: text.replace(b'"2"', b'null'),
        'does not number its classes from 0',
    ),
    'ssv2, nested': (
        'labels/labels.json',
        lambda text: b'[' * 100_000,
        'labels.json is not JSON',
    ),
}


@pytest.mark.parametrize('case', DAMAGED)
def test_a_damaged_file_of_labels_is_reported_in_one_line(tmp_path, case):
    name = case.partition(',')[0]
    options = dict(zipped=True) if name == 'ssv2' else {}
    MAKERS[name](tmp_path, write_stand_in, archives=False, **options)
    file, damage, message = DAMAGED[case]
    (tmp_path / file).write_bytes(damage((tmp_path / file).read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        prepare(name, tmp_path)
    assert str(tmp_path / file) in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('ucf101', 'ucfTrainTestlist/classInd.txt'),
        ('ucf101', 'ucfTrainTestlist/trainlist01.txt'),
        ('hmdb51', 'testTrainMulti_7030_splits/kick_test_split1.txt'),
        ('k400', 'annotations/train.csv'),
        ('ssv2', 'something-something-v2-train.json'),
    ],
)
def test_a_byte_order_mark_changes_nothing(tmp_path, name, file):
    MAKERS[name](tmp_path, write_stand_in, archives=False)
    prepared = prepare(name, tmp_path)
    before = {p: p.read_bytes() for p in prepared.lists.values()}
    path = tmp_path / file
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    again = prepare(name, tmp_path)
    assert again.lines == prepared.lines
    assert {p: p.read_bytes() for p in again.lists.values()} == before
