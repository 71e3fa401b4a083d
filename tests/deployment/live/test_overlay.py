"""The classes over the frames of a stream."""

import numpy as np

from dvfl_mmaction.deployment.live.frames import Answer, Frame
from dvfl_mmaction.deployment.live.overlay import Overlay

NAMES = ['прыжок', 'b', 'c']


def frame(time_s, height=48):
    image = np.full((height, 64, 3), 250, np.uint8)
    return Frame(0, time_s, image, 100 + time_s)


def answer(best, time_s, lag_s=0.0254):
    scores = np.full(3, 0.1, np.float32)
    scores[best] = 0.8
    return Answer(0, time_s, time_s, lag_s, scores)


def test_rows_are_the_rate_the_classes_and_the_previous_ones():
    overlay = Overlay(NAMES.__getitem__, 2)
    assert [row.text for row in overlay.rows(frame(0), None, 24.96)] == [
        '25.0 frames/s'
    ]
    for best, time_s in ((0, 0), (1, 1), (1, 2), (2, 3), (1, 4), (0, 5)):
        overlay.note(answer(best, time_s))
    rows = overlay.rows(frame(7), answer(0, 5), 24.96)
    assert [row.text for row in rows] == [
        '25.0 frames/s, lag 25 ms',
        'прыжок',
        'b',
        '-3 s: b',
        '-4 s: c',
        '-6 s: b',
    ]
    assert round(rows[1].share, 3) == 0.8 and rows[3].share is None


def test_the_panel_lies_over_every_frame_and_changes_ten_times_a_second():
    overlay = Overlay(NAMES.__getitem__, 2)
    pictures = [
        np.asarray(overlay.draw(frame(t), answer(best, t), 25.0))
        for t, best in ((0.0, 0), (0.04, 1), (0.12, 1))
    ]
    assert pictures[0].shape == (240, 320, 3)
    assert (pictures[0][0] == 250).all()  # the frame is above
    assert (pictures[0] < 100).mean() > 0.05
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])


def test_a_frame_of_another_size_gets_a_panel_of_its_own():
    overlay = Overlay(NAMES.__getitem__, 2)
    overlay.draw(frame(0.0), answer(0, 0.0), 25.0)
    got = overlay.draw(frame(0.01, height=480), answer(0, 0.0), 25.0)
    fresh = Overlay(NAMES.__getitem__, 2)
    wanted = fresh.draw(frame(0.01, height=480), answer(0, 0.0), 25.0)
    assert np.array_equal(np.asarray(got), np.asarray(wanted))
