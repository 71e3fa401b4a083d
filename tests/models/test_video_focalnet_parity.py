"""The network computes the numbers of the released Video-FocalNet code.

``data/parity`` holds the released models' keys, shapes and outputs; their
weights and inputs are drawn again from fixed seeds.
"""

import json

import numpy as np
import pytest
import torch
from released_outputs import DATA, NAMES, draw_clips, draw_weights

from dvfl_mmaction.models import VFLNetNano, VideoFocalNet

BACKBONES = {'nano': VFLNetNano, 'tiny': VideoFocalNet}


def load(name):
    stored = np.load(DATA / f'{name}.npz')
    meta = json.loads(str(stored['meta']))
    keys = json.loads((DATA / f'{name}.keys.json').read_text())
    weights = draw_weights(keys)
    head = weights.pop('head.weight'), weights.pop('head.bias')
    net = BACKBONES[meta['arch']](tubelet_size=meta['tubelet_size'])
    net.double().eval().load_state_dict(weights)  # strict: the same names
    return net, head, draw_clips(meta), stored


def test_all_four_fixtures_exist():
    assert len(NAMES) == 4


@pytest.mark.parametrize('name', NAMES)
def test_outputs_equal_those_of_the_released_code(name):
    net, (weight, bias), clips, stored = load(name)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        net.to(dtype)
        with torch.no_grad():
            pooled = net(clips.to(dtype)).mean((2, 3, 4))
        logits = pooled @ weight.to(dtype).T + bias.to(dtype)
        for ours, theirs in ((pooled, 'pooled'), (logits, 'logits')):
            torch.testing.assert_close(
                ours.double(),
                torch.from_numpy(stored[theirs]),
                rtol=0,
                atol=tolerance,
            )
