"""Processes that read clips for a prediction."""

import os
import signal

import pytest
from warm_process import run_code, run_in_parallel

from dvfl_mmaction.analysis.prediction.batches import predict_clips
from dvfl_mmaction.analysis.prediction.clips import Clip
from dvfl_mmaction.analysis.prediction.predictor import Predictor
from dvfl_mmaction.errors import UserError

WORKER = """
import sys
from dvfl_mmaction.analysis.prediction.batches import ignore_interrupts
ignore_interrupts(0)
for error in (ConnectionResetError('reset by peer'), ValueError('a fault')):
    sys.excepthook(type(error), error, None)
"""


def test_a_worker_does_not_report_that_the_main_process_has_ended():
    (done,) = run_in_parallel(run_code, [(WORKER, [])])
    assert 'a fault' in done.stderr
    assert 'reset by peer' not in done.stderr


def test_a_worker_that_dies_ends_the_run_in_one_line(tmp_path):
    def die(results):
        os.kill(os.getpid(), signal.SIGKILL)

    predictor = Predictor(None, [die], 'RGB', 4, None, {})
    with pytest.raises(UserError, match='ended .*lower --workers if memory'):
        list(predict_clips([Clip(tmp_path, 'a')], predictor, 1, workers=1))
