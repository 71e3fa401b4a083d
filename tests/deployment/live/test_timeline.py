"""Timelines as JSON, CSV and SubRip."""

import csv
import json
from pathlib import Path

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.deployment.live.segments import Segment, SegmentRule
from dvfl_mmaction.deployment.live.timeline import (
    check_format,
    srt_text,
    srt_time,
    write_timeline,
)

NAMES = ['wave, left', 'прыжок']
SEGMENTS = [
    Segment(0.0, 2.04, 1, 0.876543),
    Segment(3661.5, 3670.0, 0, 0.5),
]


def write(path):
    rule = SegmentRule(0.5, 0.6, 0.3, 2.0)
    write_timeline(
        path, SEGMENTS, NAMES.__getitem__, rule, 'a.mp4', 3700.04, False
    )
    return path.read_text(encoding='utf-8')


@pytest.mark.parametrize(
    'seconds, text',
    [
        (0, '00:00:00,000'),
        (59.9996, '00:01:00,000'),
        (3661.5, '01:01:01,500'),
        (360000.001, '100:00:00,001'),
    ],
)
def test_times_of_subtitles(seconds, text):
    assert srt_time(seconds) == text


def test_subtitles_are_numbered_and_separated_by_empty_lines(tmp_path):
    assert write(tmp_path / 'a.srt') == (
        '1\n00:00:00,000 --> 00:00:02,040\nпрыжок (88 %)\n\n'
        '2\n01:01:01,500 --> 01:01:10,000\nwave, left (50 %)\n'
    )


def test_a_name_cannot_break_the_subtitles():
    text = srt_text([SEGMENTS[1]], {0: 'a\n\n2\nb'}.__getitem__)
    assert text.splitlines()[2] == 'a\\n\\n2\\nb (50 %)'


def test_csv_has_a_row_per_segment(tmp_path):
    rows = list(csv.reader(write(tmp_path / 'a.csv').splitlines()))
    assert rows == [
        ['start_s', 'end_s', 'class', 'name', 'score'],
        ['0.000', '2.040', '1', 'прыжок', '0.8765'],
        ['3661.500', '3670.000', '0', 'wave, left', '0.5000'],
    ]


def test_json_has_the_rule_and_how_far_it_goes(tmp_path):
    content = json.loads(write(tmp_path / 'a.JSON'))
    assert content['segments'].pop() == {
        'start_s': 3661.5,
        'end_s': 3670.0,
        'class': 0,
        'name': 'wave, left',
        'score': 0.5,
    }
    assert len(content.pop('segments')) == 1
    assert content == dict(
        source='a.mp4',
        end_s=3700.04,
        complete=False,
        rule=dict(smooth_s=0.5, enter=0.6, leave=0.3, min_length_s=2.0),
    )


def test_the_name_of_the_source_is_printable(tmp_path):
    path = tmp_path / 'a.json'
    write_timeline(path, [], str, SegmentRule(), 'a\n\udcff.mp4', 1.0)
    content = json.loads(path.read_text(encoding='utf-8'))
    assert content['source'] == 'a\\n\\xff.mp4' and content['complete']


def test_other_formats_are_refused():
    with pytest.raises(UserError, match=r'--to a.vtt is no timeline'):
        check_format(Path('a.vtt'))
