"""Which frames are taken, against indices worked out by hand."""

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

SEGMENTS = dict(type='UniformSample', clip_len=8)
STRIDED = dict(type='SampleFrames', clip_len=8, frame_interval=4)
EIGHTHS = [0, 10, 20, 30, 40, 50, 60, 70]  # where they start, of 81 frames


def sample(step, num_frames, **options):
    """Frame numbers, one list a clip."""
    built = TRANSFORMS.build(dict(step, **options))
    results = built(dict(total_frames=num_frames, start_index=0))
    return results['frame_inds'].reshape(-1, 8).tolist()


def test_training_takes_a_random_frame_of_each_eighth():
    drawn = np.array([sample(SEGMENTS, 81)[0] for _ in range(200)])
    for start, frames in zip(EIGHTHS, drawn.T, strict=True):
        assert set(frames) == set(range(start, start + 11))


def test_testing_takes_the_middle_of_each_eighth():
    (frames,) = sample(SEGMENTS, 81, test_mode=True)
    assert frames == [start + 5 for start in EIGHTHS]


def test_four_clips_are_a_fifth_of_an_eighth_apart():
    clips = sample(SEGMENTS, 81, test_mode=True, num_clips=4)
    assert clips == [[s + d for s in EIGHTHS] for d in (2, 4, 6, 8)]


@pytest.mark.parametrize(
    ('num_frames', 'frames'),
    [
        # Eighths of the way from the first frame to the last, rounded to
        # even, and half an eighth on, rounded down.
        (1, [0, 0, 0, 0, 0, 0, 0, 0]),
        (2, [0, 0, 0, 0, 0, 1, 1, 1]),
        (7, [0, 1, 2, 2, 3, 4, 4, 5]),
        (8, [0, 1, 2, 3, 4, 4, 5, 6]),
    ],
)
def test_a_short_video_repeats_frames_in_their_order(num_frames, frames):
    for num_clips in (1, 4):
        clips = sample(
            SEGMENTS, num_frames, test_mode=True, num_clips=num_clips
        )
        assert clips == num_clips * [frames]
    for _ in range(50):
        (drawn,) = sample(SEGMENTS, num_frames)
        assert drawn == sorted(drawn) and drawn[-1] < num_frames


def test_strided_training_starts_anywhere():
    starts = set()
    for _ in range(300):
        (frames,) = sample(STRIDED, 81)
        assert set(np.diff(frames)) == {4}
        starts.add(frames[0])
    assert starts == set(range(50))  # 81 - 8 * 4 + 1


def test_strided_testing_takes_the_middle():
    (frames,) = sample(STRIDED, 80, test_mode=True)
    # From the first frame to the last it is 29 frames: 51 are left, 25 of
    # them before.
    assert frames == [25, 29, 33, 37, 41, 45, 49, 53]


def test_four_strided_clips_reach_from_end_to_end():
    clips = sample(STRIDED, 80, test_mode=True, num_clips=4)
    # 0, 1/3, 2/3 and all of the 51 frames that are left.
    assert [clip[0] for clip in clips] == [0, 17, 34, 51]
    assert [clip[-1] for clip in clips] == [28, 45, 62, 79]
    assert all(set(np.diff(clip)) == {4} for clip in clips)


@pytest.mark.parametrize(
    ('num_frames', 'frames'),
    [
        (1, [0, 0, 0, 0, 0, 0, 0, 0]),
        (2, [0, 0, 0, 0, 0, 0, 0, 0]),
        (7, [0, 4, 1, 5, 2, 6, 3, 0]),
    ],
)
def test_a_short_video_is_looped_by_the_strided_form(num_frames, frames):
    for options in (dict(), dict(test_mode=True)):
        assert sample(STRIDED, num_frames, **options) == [frames]
    clips = sample(STRIDED, num_frames, test_mode=True, num_clips=4)
    assert clips == 4 * [frames]
