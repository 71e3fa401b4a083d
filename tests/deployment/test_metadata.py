"""Metadata of other versions and of other programs is refused."""

import json
from pathlib import Path

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.metadata import parse_metadata

WHOLE = dict(
    format=1,
    kind='clip',
    classes=None,
    num_classes=4,
    clip_len=8,
    size=[32, 32],
    dynamic=[],
    pipeline=[dict(type='Resize', scale=[32, 32])],
)


def parse(text):
    return parse_metadata(text, Path('model.onnx'))


def test_metadata_of_this_version_is_read_with_tuples():
    found = parse(json.dumps(WHOLE))
    assert found['pipeline'] == [dict(type='Resize', scale=(32, 32))]
    assert found['num_classes'] == 4


@pytest.mark.parametrize(
    'content, message',
    [
        (dict(format=2), 'of format 2 but .* update dvfl_mmaction'),
        (WHOLE | dict(format=3, kind=7), 'of format 3 but .* update dvfl_mma'),
        (WHOLE | dict(format='1'), 'without a format number; write it with'),
        (WHOLE | dict(format=True), 'without a format number'),
        (WHOLE | dict(format=0), 'without a format number'),
        (WHOLE | dict(format=1.5), 'without a format number'),
        (dict(name='of another program'), 'without a format number'),
        ([1], 'without a format number'),
        (dict(format=1), 'whose kind is missing or of another type; w'),
        (WHOLE | dict(pipeline=None), 'whose pipeline is missing or'),
        (WHOLE | dict(size=32), 'whose size is missing or'),
        (WHOLE | dict(classes='a'), 'whose classes is missing or'),
    ],
)
def test_other_metadata_is_refused(content, message):
    with pytest.raises(UserError, match=f'model.onnx has metadata {message}'):
        parse(json.dumps(content))


@pytest.mark.parametrize('text', ['{', 'text', '[' * 100_000])
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(UserError, match='has unreadable metadata; write it'):
        parse(text)


@pytest.mark.parametrize('text', ['', None])
def test_a_file_without_metadata_is_refused(text):
    with pytest.raises(UserError, match='no metadata of dvfl_mmaction; write'):
        parse(text)
