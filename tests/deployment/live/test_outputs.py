"""Answers as lines of JSON."""

import json

import numpy as np

from dvfl_mmaction.deployment.live.frames import Answer
from dvfl_mmaction.deployment.live.outputs import answer_line


def test_a_line_has_null_for_nan():
    answer = Answer(3, 0.12, 0.12, 0.02, np.array([np.nan, 0.5], np.float32))

    def refuse(word):
        raise ValueError(f'{word} is no JSON')

    line = json.loads(answer_line(answer, str, 2), parse_constant=refuse)
    shares = {p['class']: p['probability'] for p in line['predictions']}
    assert shares == {0: None, 1: 0.5}
