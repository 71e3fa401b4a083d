"""The order of an epoch over processes, and after an interruption."""

from itertools import chain, zip_longest

import pytest

from dvfl_mmaction.datasets.stream import StreamSampler


def order(num_clips, processes=1, skip=0, **options):
    """The samples of an epoch in the order of the steps."""
    sampler = StreamSampler(range(num_clips), seed=3, **options)
    sampler.world_size, sampler.skip = processes, skip
    parts = []
    for sampler.rank in range(processes):
        parts.append(list(sampler))
    steps = chain(*zip_longest(*parts))
    return [int(index) for index in steps if index is not None]


@pytest.mark.parametrize('processes', [1, 2, 3, 4])
@pytest.mark.parametrize('shuffle', [True, False])
def test_processes_share_the_order_of_one(processes, shuffle):
    alone = order(5, shuffle=shuffle)
    assert sorted(alone) == list(range(5))
    assert order(5, processes, shuffle=shuffle, round_up=False) == alone
    together = order(5, processes, shuffle=shuffle)
    padding = -5 % processes
    assert together == alone + alone[:padding]
    assert order(1, processes) == [0] * processes


@pytest.mark.parametrize('processes', [1, 2, 3])
@pytest.mark.parametrize('skip', [2, 4, 6])
def test_a_resumed_epoch_has_the_rest_of_a_whole_one(processes, skip):
    whole = order(7)
    found = order(7, processes, skip)
    padding = -(7 - skip) % processes
    assert found == whole[skip:] + whole[:padding]


def test_an_index_carries_seed_and_epoch():
    sampler = StreamSampler(range(3), seed=3)
    sampler.set_epoch(2)
    found = {(i.seed, i.epoch, i.sample - i) for i in sampler}
    assert found == {(3, 2, 0)}
