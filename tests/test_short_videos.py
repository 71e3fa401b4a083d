"""MMAction2 samples a clip of a short video for the length of a run."""

import pytest
from mmaction.datasets.transforms import UntrimmedSampleFrames

from dvfl_mmaction.compat import run_repairs
from dvfl_mmaction.short_videos import sample_short_videos, takes_short_videos


def sample(total_frames):
    step = UntrimmedSampleFrames(4, clip_interval=64, frame_interval=8)
    return step(dict(total_frames=total_frames, start_index=0))


@pytest.mark.parametrize(
    ('total_frames', 'wanted'),
    [(32, [0, 8, 16, 24]), (9, [0, 0, 4, 8]), (1, [0, 0, 0, 0])],
)
def test_a_short_video_has_one_clip_around_its_middle(total_frames, wanted):
    with run_repairs:
        found = sample(total_frames)
    assert found['frame_inds'].tolist() == wanted
    assert found['num_clips'] == 1 and found['clip_interval'] == 64


@pytest.mark.parametrize('total_frames', [33, 64, 97, 200])
def test_other_videos_are_sampled_as_before(total_frames):
    wanted = sample(total_frames)
    with sample_short_videos():
        found = sample(total_frames)
    assert found['frame_inds'].tolist() == wanted['frame_inds'].tolist()
    assert found['num_clips'] == wanted['num_clips']


def test_the_step_is_as_before_after_the_context():
    before = UntrimmedSampleFrames.transform
    assert not takes_short_videos(UntrimmedSampleFrames)
    with sample_short_videos():
        assert takes_short_videos(UntrimmedSampleFrames)
        repaired = UntrimmedSampleFrames.transform
        with sample_short_videos():  # it needs no second repair
            assert UntrimmedSampleFrames.transform is repaired
    assert UntrimmedSampleFrames.transform is before
