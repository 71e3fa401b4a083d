"""Answers as lines of JSON, and frames as a video."""

import json

import av
import numpy as np
from PIL import Image

from dvfl_mmaction.deployment.live.frames import Answer
from dvfl_mmaction.deployment.live.outputs import answer_line, video_output


def test_a_line_has_null_for_nan():
    answer = Answer(3, 0.12, 0.12, 0.02, np.array([np.nan, 0.5], np.float32))

    def refuse(word):
        raise ValueError(f'{word} is no JSON')

    line = json.loads(answer_line(answer, str, 2), parse_constant=refuse)
    shares = {p['class']: p['probability'] for p in line['predictions']}
    assert shares == {0: None, 1: 0.5}


def test_a_video_has_one_size_and_times_that_increase(tmp_path):
    path = tmp_path / 'a.mp4'
    sizes = [(64, 48), (64, 48), (32, 64), (64, 48), (64, 48)]
    times = [0.5, 0.5001, 0.7, 0.6, 3.0]
    with video_output(path) as video:
        for size, time_s in zip(sizes, times, strict=True):
            video.write(Image.new('RGB', size), time_s)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [f.time for f in frames] == [0.5, 0.501, 0.7, 0.701, 3.0]
    assert {(f.width, f.height) for f in frames} == {(64, 48)}
