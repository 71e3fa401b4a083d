"""Parts of the page."""

import numpy as np

from dvfl_mmaction.deployment.live.segments import Segment
from dvfl_mmaction.deployment.web import html
from dvfl_mmaction.deployment.web.model import Timeline

NAMES = ['<script>', 'b & c']


def test_bars_are_as_long_as_the_probabilities_and_escape_names():
    scores = np.array([0.25, 0.75], np.float32)
    text = html.bars('a<b', scores, NAMES.__getitem__, 5, 'read')
    assert '<script>' not in text and 'a<b' not in text
    assert text.index('width:75.0000%') < text.index('width:25.0000%')
    assert text.index('b &amp; c') < text.index('&lt;script&gt;')
    assert '75.0 %' in text


def test_segments_are_placed_by_their_times():
    segments = [Segment(1, 2, 0, 0.5), Segment(4, 8, 1, 0.9)]
    found = Timeline(10, 10, segments, 3)
    text = html.timeline('t', found, NAMES.__getitem__)
    assert 'left:10.000%;width:10.000%' in text
    assert 'left:40.000%;width:40.000%' in text
    assert '4.0 – 8.0 s: b &amp; c (90 %)' in text
    assert 'No class is probable' in html.timeline(
        't', Timeline(10, 10, [], 3), NAMES.__getitem__
    )


def test_an_unfinished_timeline_says_how_far_it_is():
    text = html.timeline('t', Timeline(2.5, 10), NAMES.__getitem__)
    assert '25 % of 10.0 s' in text
    # Time stamps may go beyond the length.
    text = html.timeline('t', Timeline(10.5, 10), NAMES.__getitem__)
    assert '100 % of 10.0 s' in text


def test_messages_are_escaped():
    assert '<i>' not in html.problem('<i>')
