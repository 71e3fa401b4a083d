"""Values of a run become plain ones, and keep their structure."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_checkpoints import endless_values, time_limit

from dvfl_mmaction.checkpoints.plain_values import make_plain, plain


def test_values_and_containers_become_plain():
    words = np.array(['a', None], dtype=object)
    value = OrderedDict(a=(np.float32(2), [Path('b')]), c={1: words})
    found = plain(value)
    assert found == OrderedDict(a=(2.0, ['b']), c={1: ['a', None]})
    assert type(found) is OrderedDict and type(found['a'][0]) is float
    assert torch.equal(plain(np.arange(3)), torch.arange(3))


@pytest.mark.parametrize('kind', endless_values())
def test_values_within_themselves_are_copied_once(tmp_path, kind):
    checkpoint = dict(meta=endless_values()[kind])
    with time_limit():
        make_plain(checkpoint)
        torch.save(checkpoint, tmp_path / 'a.pth')
    assert (tmp_path / 'a.pth').stat().st_size < 5000


def test_what_entries_share_is_shared_by_their_copies():
    shared = [np.int64(1)]
    own = dict(first=shared)
    own['own'] = own
    checkpoint = dict(meta=own, message_hub=(shared,))
    make_plain(checkpoint)
    assert checkpoint['meta']['own'] is checkpoint['meta'] is not own
    assert checkpoint['message_hub'][0] is checkpoint['meta']['first']
    assert checkpoint['meta']['first'] == [1] and shared == [np.int64(1)]
