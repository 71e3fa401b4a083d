"""The stream of a visitor's camera."""

import numpy as np
import pytest

from dvfl_mmaction.deployment.live.classifier import FrameClassifier
from dvfl_mmaction.deployment.web import camera
from dvfl_mmaction.deployment.web.camera import PAUSE_S, CameraSession


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = [100.0]
    monkeypatch.setattr(camera.time, 'monotonic', lambda: now[0])
    return now


def counting(stride=1):
    """A model whose scores are the number of frames of its state."""
    return FrameClassifier(
        lambda picture, state: (np.array([state + 1]), state + 1),
        lambda height, width: 0,
        lambda image: image,
        1,
        stride=stride,
    )


IMAGE = np.zeros((2, 2, 3), np.uint8)


def test_a_pause_begins_a_new_stream_and_a_new_rate(clock):
    session = CameraSession(counting())
    counts = []
    for step in (0, 0.5, 0.5, PAUSE_S, PAUSE_S + 0.1, 0.25):
        clock[0] += step
        counts.append(int(session.take(IMAGE)[0]))
    assert counts == [1, 2, 3, 4, 1, 2]
    assert session.rate == pytest.approx(4)


def test_the_rate_is_that_of_the_last_frames(clock):
    session = CameraSession(counting())
    assert session.rate == 0
    for number in range(60):
        session.take(IMAGE)
        assert session.rate == pytest.approx(
            0 if not number else 5 if number < 30 else session.rate
        )
        clock[0] += 0.2 if number < 29 else 0.1
    assert session.rate == pytest.approx(10)


def test_frames_that_the_stride_leaves_out_have_the_answer_before(clock):
    session = CameraSession(counting(stride=2))
    counts = []
    for _ in range(4):
        counts.append(int(session.take(IMAGE)[0]))
        clock[0] += 0.1
    assert counts == [1, 1, 2, 2]
