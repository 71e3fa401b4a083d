"""How clips are divided into batches, counted without a training."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dvfl_mmaction.engine.resuming import fits
from dvfl_mmaction.engine.train_batches import TrainBatches

# 20 clips in batches of 2 x 4: the third has 4 clips.
BATCHES = TrainBatches(4, 2, 1, 3, 20, False)


def test_batches_of_an_epoch_are_counted_from_its_first_iteration():
    trained = [BATCHES.clips_trained(2, i) for i in range(6, 11)]
    assert trained == [0, 8, 16, 20, 20]


@pytest.mark.parametrize(
    ('clips', 'drop_last', 'left', 'trained'),
    [
        (0, False, 3, [0, 8, 16]),
        (4, False, 2, [4, 12]),  # 8 clips per process, no incomplete batch
        (4, True, 2, [4, 12]),
        (3, False, 3, [3, 11, 19]),  # 17 clips, 9 for one process
        (3, True, 2, [3, 11]),
        (19, False, 1, [19]),
        (19, True, 0, []),
        (20, False, 0, []),
    ],
)
def test_a_continued_epoch_ends_where_a_whole_one_does(
    clips, drop_last, left, trained
):
    batches = replace(BATCHES, drop_last=drop_last)
    start = batches.continue_epoch(1, clips)
    assert start == 6 - left
    found = [batches.clips_trained(1, i) for i in range(start, 6)]
    assert found == trained
    assert batches.clips_trained(1, 6) == 20
    assert batches.clips_trained(2, 7) == 8  # the next epoch is whole


@pytest.mark.parametrize(
    ('name', 'value', 'differs'),
    [
        ('batch_size', 5, True),
        ('num_processes', 1, True),
        ('num_clips', 21, True),
        ('drop_last', True, True),
        ('accumulative_counts', 2, False),
        ('clips', 5, False),
    ],
)
def test_batches_differ_if_a_clip_has_another_iteration(name, value, differs):
    assert BATCHES.differs_from(replace(BATCHES, **{name: value})) is differs


def test_batches_are_described():
    text = '4 clips x 2 processes, 3 batches per epoch'
    assert str(BATCHES) == text
    accumulated = str(replace(BATCHES, accumulative_counts=2))
    assert accumulated == text.replace(',', ' x 2 accumulated,')


@pytest.mark.parametrize(
    ('epoch', 'iteration', 'fit'),
    [(0, 0, True), (2, 6, True), (2, 9, True), (2, 5, False), (2, 10, False)],
)
def test_a_checkpoint_fits_within_an_epoch(epoch, iteration, fit):
    """At its end too: hooks save before the epoch is counted."""
    loop = SimpleNamespace(epoch=epoch, iter=iteration)
    assert fits(loop, batches_per_epoch=3) is fit
