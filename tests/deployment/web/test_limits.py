"""What a visitor may upload."""

import av
import pytest
from growing_clips import write_sizes
from recorded_clips import write_recording
from small_recipe import write_clip

from dvfl_mmaction.datasets.video_file import limit_pixels
from dvfl_mmaction.datasets.video_reader import BrokenClipError, VideoReader
from dvfl_mmaction.deployment.web.limits import (
    Limits,
    check_clip,
    check_pictures,
    check_size,
)
from dvfl_mmaction.errors import UserError


def test_the_length_is_that_of_the_packets(tmp_path):
    write_clip(tmp_path / 'clip.mp4', 0, frames=30)
    path = str(tmp_path / 'clip.mp4')
    assert check_clip(path, Limits()).length_s == pytest.approx(30 / 25)


def test_a_recording_without_a_duration_is_measured(tmp_path):
    path = write_recording(tmp_path / 'live.webm', frames=20)
    with av.open(path) as container:
        assert not container.duration
    found = check_clip(path, Limits())
    assert found.length_s == pytest.approx(2, abs=0.11)
    assert found.num_frames == 20
    with pytest.raises(UserError, match='live.webm is longer than 1 s'):
        check_clip(path, Limits(length_s=1))


def test_large_files_and_other_files_are_refused_by_name(tmp_path):
    write_clip(tmp_path / 'clip.mp4', 0)
    with pytest.raises(UserError, match='at most 0.0001 MB are taken'):
        check_clip(str(tmp_path / 'clip.mp4'), Limits(size_mb=0.0001))
    (tmp_path / 'text.mp4').write_text('no video\n' * 99)
    with pytest.raises(UserError, match='text.mp4 cannot be read: not a'):
        check_clip(str(tmp_path / 'text.mp4'), Limits())


def test_pictures_of_the_limit_are_taken():
    # 1e6 * 0.509056 is less than 656 * 776.
    for width, height in ((656, 776), (4096, 2304)):
        limits = Limits(megapixels=width * height / 1e6)
        check_size('a', width, height, limits)
        with pytest.raises(UserError, match=f'{width + 1} x {height} pixels'):
            check_size('a', width + 1, height, limits)


@pytest.mark.parametrize('size', [(40, 4), (4, 40)])
def test_strips_are_refused(size):
    check_size('a', *size, Limits())
    width, height = (n + (n == 40) for n in size)
    what = f'a has pictures of {width} x {height} pixels, one side more than'
    with pytest.raises(UserError, match=f'{what} 10 times the other; crop'):
        check_size('a', width, height, Limits())


CODECS = ['libx264', 'mpeg4', 'mjpeg', 'libvpx-vp9']


@pytest.mark.parametrize('codec', CODECS)
def test_large_pictures_are_refused(tmp_path, codec):
    path = write_sizes(tmp_path / 'clip.mkv', codec, [64])
    what = 'of 64 x 64 pixels but at most 0.004 megapixels are taken; scale'
    with pytest.raises(UserError, match=f'clip.mkv has pictures {what}'):
        check_clip(path, Limits(megapixels=0.004))
    check_pictures(check_clip(path, Limits(megapixels=0.0042)))
    check_clip(path, Limits(megapixels=float('inf')))


@pytest.mark.parametrize('codec', CODECS[1:])
def test_much_larger_pictures_are_not_even_decoded_to_open_a_file(
    tmp_path, codec
):
    path = write_sizes(tmp_path / 'clip.mkv', codec, [512])
    # Their size would be known if one had been decoded.
    with pytest.raises(UserError, match='of more than 0.004 megapixels, or'):
        check_clip(path, Limits(megapixels=0.004))


@pytest.mark.parametrize('codec', ['libx264', 'mjpeg', 'libvpx-vp9'])
def test_pictures_that_grow_are_refused_only_within_the_limit(tmp_path, codec):
    path = write_sizes(tmp_path / 'grows.mkv', codec, [64, 512])
    clip = check_clip(path, Limits(megapixels=0.005))
    with pytest.raises(UserError, match='grows.mkv has pictures of .* --max-'):
        check_pictures(clip)
    with (
        limit_pixels(clip.limits.decoded_pixels),
        VideoReader(path) as reader,
        pytest.raises(BrokenClipError),
    ):
        reader.read([7])
    with VideoReader(path) as reader:  # as trainings read it
        assert reader.read([7])[0].shape == (64, 64, 3)
