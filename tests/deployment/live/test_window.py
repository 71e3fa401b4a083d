"""The window of a run, which its user closes."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from dvfl_mmaction.deployment.live import run, session, window
from dvfl_mmaction.deployment.live.classifier import WindowClassifier
from dvfl_mmaction.deployment.live.opened_source import OpenedSource
from dvfl_mmaction.deployment.live.run import StreamOutputs, run_stream
from dvfl_mmaction.deployment.live.source import Source


def classifier():
    """A model of windows that are not full for a long time."""
    return WindowClassifier(
        len, lambda image: image[:2, :2], 2, clip_len=99, stride=999
    )


def test_to_quit_before_the_first_window_is_no_error(monkeypatch, capsys):
    def opened():
        def pictures():
            while True:
                yield None, np.zeros((48, 64, 3), np.uint8)
                time.sleep(0.001)

        return OpenedSource(pictures(), lambda: None, is_live=True)

    fake = SimpleNamespace(
        show=lambda picture: False, is_open=lambda: True, close=lambda: None
    )
    monkeypatch.setattr(run, 'Window', lambda title: fake)
    found = run_stream(
        Source('cam', opened), classifier(), StreamOutputs(window=True)
    )
    assert not found.is_complete and found.measures.answered == 0
    assert '0 answers' in capsys.readouterr().err


@pytest.mark.parametrize('frames', [0, 1])
def test_the_window_is_closed_while_no_frame_comes(monkeypatch, frames):
    waits = threading.Event()

    def opened():
        def pictures():
            for _ in range(frames):
                time.sleep(0.25)
                yield None, np.zeros((48, 64, 3), np.uint8)
            waits.wait(30)

        return OpenedSource(pictures(), lambda: None, is_live=True)

    shown, keys = [], []
    monkeypatch.setattr(window.cv2, 'namedWindow', lambda *_: None)
    monkeypatch.setattr(window.cv2, 'destroyWindow', lambda _: waits.set())
    monkeypatch.setattr(window.cv2, 'imshow', lambda *_: shown.append(1))
    monkeypatch.setattr(window.cv2, 'getWindowProperty', lambda *_: len(shown))

    def wait_key(ms):
        keys.append(len(shown) == frames)
        return ord('q') if sum(keys) == 3 else -1

    monkeypatch.setattr(window.cv2, 'waitKey', wait_key)
    monkeypatch.setattr(session, 'JOIN_S', 0.01)
    run_stream(Source('cam', opened), classifier(), StreamOutputs(window=True))
    assert len(shown) == frames and sum(keys) == 3
