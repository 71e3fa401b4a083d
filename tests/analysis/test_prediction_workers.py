"""Processes that read clips for a prediction."""

from warm_process import run_code, run_in_parallel

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
