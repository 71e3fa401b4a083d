"""A video for the tests of this folder."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """A data_root with a video, 40 frames of 320 x 240, and its list."""
    folder = tmp_path_factory.mktemp('data')
    (folder / 'videos').mkdir()
    writer = cv2.VideoWriter(
        str(folder / 'videos' / 'clip.mp4'),
        cv2.VideoWriter_fourcc(*'mp4v'),
        25,
        (320, 240),
    )
    rng = np.random.default_rng(0)
    for level in range(40, 240, 5):
        frame = rng.integers(0, 16, (240, 320, 3), np.uint8)
        frame[:, : level + 40] += np.uint8(level)
        writer.write(frame)
    writer.release()
    (folder / 'list.txt').write_text('clip.mp4 3\n')
    return folder
