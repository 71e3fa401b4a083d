"""What a visitor may upload."""

import av
import numpy as np
import pytest
from small_recipe import write_clip

from dvfl_mmaction.deployment.web.limits import Limits, check_clip
from dvfl_mmaction.errors import UserError


def test_the_length_is_that_of_the_packets(tmp_path):
    write_clip(tmp_path / 'clip.mp4', 0, frames=30)
    path = str(tmp_path / 'clip.mp4')
    assert check_clip(path, Limits()) == pytest.approx(30 / 25)


def test_a_recording_without_a_duration_is_measured(tmp_path):
    """As browsers write WebM: the header has no duration."""
    path = str(tmp_path / 'live.webm')
    options = dict(live='1')
    with av.open(path, 'w', format='webm', options=options) as container:
        stream = container.add_stream('libvpx', rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = 'yuv420p'
        for value in range(20):
            image = np.full((32, 32, 3), value, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        assert not container.duration
    assert check_clip(path, Limits()) == pytest.approx(2, abs=0.11)
    with pytest.raises(UserError, match='live.webm is longer than 1 s'):
        check_clip(path, Limits(length_s=1))


def test_large_files_and_other_files_are_refused_by_name(tmp_path):
    write_clip(tmp_path / 'clip.mp4', 0)
    with pytest.raises(UserError, match='at most 0.0001 MB are taken'):
        check_clip(str(tmp_path / 'clip.mp4'), Limits(size_mb=0.0001))
    (tmp_path / 'text.mp4').write_text('no video\n' * 99)
    with pytest.raises(UserError, match='text.mp4 cannot be read: not a'):
        check_clip(str(tmp_path / 'text.mp4'), Limits())
