"""Commands of a run: what is started anew, and what is resumed."""

import threading

import pytest

from dvfl_mmaction.analysis.ablation.execution import Commands, RunFailed
from dvfl_mmaction.analysis.ablation.plan import Run


def test_only_a_training_with_a_checkpoint_is_resumed(tmp_path, monkeypatch):
    """``--resume`` would drop ``load_from`` of a training that begins."""
    fixed = dict(config='', kind='alone', labels={}, options={}, digest='')
    run = Run(name='a', seed=0, folder=str(tmp_path), parameters=0, **fixed)
    started = []

    def call(self, words, descriptors=()):
        started.append(words)
        if len(started) == 2:
            (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
        if len(started) < 3:
            raise RunFailed('stopped')
        return 2**20

    monkeypatch.setattr(Commands, 'call', call)
    commands = Commands(run, {}, threading.Event(), [], print)
    for _ in range(2):
        with pytest.raises(RunFailed):
            commands.train()
    trained = commands.train()
    assert ['--resume' in words for words in started] == [False, False, True]
    assert (trained['checkpoint'], trained['memory_mb']) == ('epoch_1.pth', 1)
    assert commands.train() == trained and len(started) == 3
