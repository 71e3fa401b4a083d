"""Threads that share a progress bar."""

import threading

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.progress import (
    Progress,
    Share,
    Stopped,
    in_parallel,
)


def test_the_first_failure_stops_the_other_jobs():
    begun = threading.Event()

    def work(number):
        if number == 0:
            begun.wait(5)
            raise UserError('the reason')
        begun.set()
        while True:
            share.advance(0)

    progress = Progress('nothing')
    share = Share(progress, 0)
    with pytest.raises(UserError, match='the reason'):
        in_parallel(work, range(2), progress)
    with pytest.raises(Stopped):
        progress.advance(1)


@pytest.mark.parametrize('counted', [[], [3], [3, 3], [3, 9]])
def test_a_share_advances_the_bar_by_its_size(counted):
    """Even if its job counts fewer or more."""
    progress = Progress('nothing', 20)
    share = Share(progress, 6)
    advanced = []
    progress.advance = advanced.append
    for amount in counted:
        share.advance(amount)
    share.finish()
    assert sum(advanced) == 6 and min(advanced) >= 0
