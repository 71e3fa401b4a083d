"""Values of a run become plain ones, and keep their structure."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_checkpoints import endless_values, time_limit
from mmengine.logging import HistoryBuffer

from dvfl_mmaction.checkpoints.plain_values import (
    make_plain,
    plain,
    restore_history,
)
from dvfl_mmaction.checkpoints.safe_loading import CheckpointError


def test_values_and_containers_become_plain():
    words = np.array(['a', None], dtype=object)
    value = OrderedDict(a=(np.float32(2), [Path('b')]), c={1: words})
    found = plain(value)
    assert found == OrderedDict(a=(2.0, ['b']), c={1: ['a', None]})
    assert type(found) is OrderedDict and type(found['a'][0]) is float
    assert torch.equal(plain(np.arange(3)), torch.arange(3))
    assert torch.equal(plain(np.arange(3)[::-1]), torch.tensor([2, 1, 0]))
    assert plain(np.arange(3, dtype='>f8')) == [0, 1, 2]  # not of this machine


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


def checkpoint_with_history():
    buffers = dict(
        loss=HistoryBuffer([3.0, 2.0], [1, 4], max_length=5),
        lr=HistoryBuffer([0.1], [1]),
    )
    hub = dict(
        log_scalars=dict(buffers, other=1),
        resumed_keys=dict(loss=True, lr=False, other=True),
    )
    return dict(message_hub=hub), buffers


def test_the_history_survives_a_file_of_plain_values(tmp_path):
    checkpoint, buffers = checkpoint_with_history()
    make_plain(checkpoint)
    assert checkpoint['message_hub']['log_scalars'] == dict(other=1)
    torch.save(checkpoint, tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)
    restore_history(loaded)
    assert loaded.keys() == {'message_hub'}
    hub = loaded['message_hub']
    assert hub['resumed_keys'] == dict(loss=True, lr=False, other=True)
    assert hub['log_scalars'].keys() == {'other', *buffers}
    for name, buffer in buffers.items():
        found = hub['log_scalars'][name]
        for values, wanted in zip(found.data, buffer.data, strict=True):
            np.testing.assert_array_equal(values, wanted)
        assert found.max_length == buffer.max_length


def test_a_damaged_history_is_reported():
    checkpoint, _ = checkpoint_with_history()
    make_plain(checkpoint)
    del checkpoint['log_history']['loss']['counts']
    with pytest.raises(CheckpointError, match='damaged log_history'):
        restore_history(checkpoint)
