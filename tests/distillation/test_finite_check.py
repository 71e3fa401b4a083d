"""A teacher whose logits are NaN or infinite stops the run."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recorded_runs import HOOKS, distillation, recorded
from small_recipe import distiller, recipe, run

from dvfl_mmaction.distillation.finite_check import FiniteCheck
from dvfl_mmaction.distillation.logit_recording import LogitRecording
from dvfl_mmaction.errors import UserError

NAN, INF = float('nan'), float('inf')


class OnDevice:
    """Logits of which the check takes that a GPU holds them."""

    device = SimpleNamespace(type='cuda')

    def __init__(self, *rows):
        self.values = torch.tensor(rows)

    def __len__(self):
        return len(self.values)

    def isfinite(self):
        return self.values.isfinite()


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_logits_on_the_cpu_are_checked_at_once(value):
    check = FiniteCheck()
    check.add(torch.zeros(3, 4), 'big.py')
    logits = torch.zeros(3, 4)
    logits[1, 2] = logits[2] = value
    with pytest.raises(UserError, match='big.py has NaN .* 2 of 3 clips') as e:
        check.add(logits, 'big.py')
    assert '\n' not in str(e.value)


def test_logits_on_a_gpu_are_counted_until_they_are_read():
    check = FiniteCheck()
    check.read()
    check.add(OnDevice([0.0, 1.0], [2.0, 3.0]), 'big.py')
    check.read()
    check.add(OnDevice([0.0, NAN]), 'big.py')
    check.add(OnDevice([0.0, 1.0], [INF, NAN]), 'big.py')
    check.add(OnDevice([0.0, 1.0]), 'big.py')
    with pytest.raises(UserError, match='for 2 of 4 clips'):
        check.read()
    check.read()


def broken_teacher(teacher, value):
    """The config of the same teacher with a bias that is not finite."""
    checkpoint = torch.load(teacher['checkpoint'], weights_only=True)
    checkpoint['state_dict']['cls_head.fc_cls.bias'][0] = value
    torch.save(checkpoint, teacher['checkpoint'])
    return teacher


def test_a_run_stops_before_its_first_step(data, teacher, tmp_path):
    model = distiller(broken_teacher(teacher, NAN))
    with pytest.raises(UserError, match='NaN .* for 4 of 4 clips') as e:
        run(recipe(model, data, tmp_path / 'work'))
    assert '\n' not in str(e.value)
    assert not list((tmp_path / 'work').glob('*.pth'))


@pytest.mark.parametrize(
    ('logger', 'wanted'),
    [
        (None, [1, 3, 3, 6, 6]),
        (dict(type='LoggerHook', interval=2), [1, 2, 3, 3, 5, 6, 6]),
    ],
)
def test_the_count_is_read_where_the_logger_reads(
    data, teacher, tmp_path, monkeypatch, logger, wanted
):
    """2 epochs of 3 batches, with a checkpoint after each."""
    read = []
    monkeypatch.setattr(FiniteCheck, 'add', lambda *args: read.append(0))
    monkeypatch.setattr(FiniteCheck, 'read', lambda check: read.append('read'))
    config = distillation(data, tmp_path, teacher)
    config['default_hooks'] = HOOKS | (dict(logger=logger) if logger else {})
    run(config)
    at = [i for i, word in enumerate(read) if word == 'read']
    assert [read[:i].count(0) for i in at] == wanted


def test_neither_nan_nor_overflow_is_recorded(data, teacher, tmp_path):
    folder = tmp_path / 'rec'
    recording = broken_teacher(teacher, INF) | dict(record_to=str(folder))
    with pytest.raises(UserError, match='infinite logits for 4 of 4 clips'):
        run(distillation(data, tmp_path / 'work', recording))
    recording = broken_teacher(teacher, 1e5) | dict(record_to=str(folder))
    (folder / 'rank_0.logits').unlink()
    with pytest.raises(UserError, match='4 of 4 clips are .* float16') as e:
        run(distillation(data, tmp_path / 'work', recording))
    assert "record_dtype='float32'" in str(e.value)
    assert '\n' not in str(e.value)
    assert LogitRecording.open(folder / 'rank_0.logits').count() == 0


def test_a_recording_with_nan_is_not_read(
    data, recordings, tmp_path, monkeypatch
):
    path = recordings.folder / 'float32' / 'rank_0.logits'
    good = LogitRecording.open(path)
    (tmp_path / 'rec').mkdir()
    bad = LogitRecording.create(tmp_path / 'rec' / path.name, good.about)
    as_before = partial(np.ones_like, dtype=bool)
    monkeypatch.setattr(np, 'isfinite', as_before)
    for iteration in range(6):
        logits = good.read(iteration)
        if iteration == 1:
            logits[0, 0] = NAN
        bad.write(iteration, logits)
    bad.close()
    monkeypatch.undo()
    config = distillation(data, tmp_path / 'run', recorded(tmp_path / 'rec'))
    with pytest.raises(UserError, match='recording .* for 1 of 4 clips'):
        run(config)
