"""Windows and states over the frames of a stream."""

import numpy as np

from dvfl_mmaction.deployment.live.classifier import (
    FrameClassifier,
    WindowClassifier,
)
from dvfl_mmaction.deployment.live.frames import Frame


def frames(count, start=0, opened=(0,)):
    """Frames whose pixels are their index."""
    for index in range(start, start + count):
        image = np.full((2, 2, 3), index, np.uint8)
        yield Frame(index, index / 10, image, 5 + index, index in opened)


def numbers(pictures):
    return [int(picture[0, 0, 0]) for picture in pictures]


def window(**kwargs):
    return WindowClassifier(numbers, lambda image: image, 3, **kwargs)


def works(classifier, frames):
    found = [classifier.push(frame) for frame in frames]
    return [work for work in found if work is not None]


def test_windows_have_their_stride_and_come_every_n_frames():
    classifier = window(clip_len=3, stride=2, every=3)
    found = works(classifier, frames(12))
    clips = [classifier.classify(work) for work in found]
    assert clips == [[0, 2, 4], [3, 5, 7], [6, 8, 10]]
    last = found[-1]
    assert (last.index, last.time_s, last.begin_s) == (10, 1.0, 0.6)
    assert last.due_s == 15


def test_a_window_does_not_span_two_connections():
    classifier = window(clip_len=3, every=1)
    found = works(classifier, frames(8, opened=(0, 4)))
    clips = [classifier.classify(work) for work in found]
    assert clips == [[0, 1, 2], [1, 2, 3], [4, 5, 6], [5, 6, 7]]


def test_a_window_has_pictures_of_one_size():
    classifier = window(clip_len=3, every=1)
    stream = list(frames(8))
    for frame in stream[4:]:
        frame.image = np.full((2, 4, 3), frame.index, np.uint8)
    found = works(classifier, stream)
    clips = [classifier.classify(work) for work in found]
    assert clips == [[0, 1, 2], [1, 2, 3], [4, 5, 6], [5, 6, 7]]


def test_the_first_window_comes_as_soon_as_it_is_full():
    """Also after each connection, and whatever the pace of the others."""
    classifier = window(clip_len=2, every=4)
    found = works(classifier, frames(13, opened=(0, 6)))
    assert [work.index for work in found] == [1, 5, 7, 11]
    assert [work.run for work in found] == [1, 1, 2, 2]


def causal(stride=1):
    """A model whose state is the list of the frames that it got."""

    def step(picture, state):
        state = [*state, *numbers([picture])]
        return state, state

    return FrameClassifier(
        step,
        lambda height, width: [(height, width)],
        lambda image: image,
        3,
        stride=stride,
    )


def test_a_causal_model_gets_every_frame_and_keeps_its_state():
    classifier = causal()
    found = works(classifier, frames(4))
    answers = [classifier.classify(work) for work in found]
    assert answers[-1] == [(2, 2), 0, 1, 2, 3] and len(answers) == 4


def test_a_causal_model_can_get_every_other_frame():
    classifier = causal(stride=2)
    found = works(classifier, frames(5))
    assert [classifier.classify(work) for work in found][-1] == [
        *((2, 2), 0, 2, 4)
    ]


def test_a_new_connection_begins_with_a_new_state_even_if_frames_drop():
    classifier = causal()
    found = works(classifier, frames(6, opened=(0, 3)))
    kept = [found[i] for i in (0, 1, 4, 5)]  # the first of the second is lost
    answers = [classifier.classify(work) for work in kept]
    assert answers == [
        [(2, 2), 0],
        [(2, 2), 0, 1],
        [(2, 2), 4],
        [(2, 2), 4, 5],
    ]


def test_the_stride_begins_anew_with_each_connection():
    classifier = causal(stride=2)
    found = works(classifier, frames(7, opened=(0, 3)))
    assert [work.index for work in found] == [0, 2, 3, 5]


def test_another_size_begins_with_a_new_state():
    classifier = causal()
    small, large = Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8), 0.0, True), []
    for index in (1, 2):
        image = np.full((4, 6, 3), index, np.uint8)
        large.append(Frame(index, index / 10, image, 0.0))
    found = works(classifier, [small, *large])
    answers = [classifier.classify(work) for work in found]
    assert answers == [[(2, 2), 0], [(4, 6), 1], [(4, 6), 1, 2]]


def test_a_classifier_of_another_stream_has_the_options_and_no_frames():
    options = dict(clip_len=2, stride=2, every=3, class_names=['a', 'b', 'c'])
    first = window(**options)
    works(first, frames(4))
    other = first.for_another_stream()
    assert [w.index for w in works(other, frames(9))] == [2, 5, 8]
    assert other.name_of(1) == 'b' and other.num_classes == 3
    first = causal(stride=3)
    for work in works(first, frames(4)):
        first.classify(work)
    other = first.for_another_stream()
    found = works(other, frames(7))
    assert [w.index for w in found] == [0, 3, 6]
    assert other.classify(found[0]) == [(2, 2), 0]


def test_names_are_numbers_where_unknown():
    assert causal().name_of(2) == '2'
    named = window(clip_len=1, class_names=['a', 'b', 'c'])
    assert named.name_of(2) == 'c'
