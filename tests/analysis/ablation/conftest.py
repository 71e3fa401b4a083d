"""A distillation's config, and results of an ablation."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from small_recipe import distiller, recipe, recognizer


@pytest.fixture
def config(tmp_path):
    """A distillation's config file; its teacher is a file's config."""
    plain = recipe(recognizer(), tmp_path / 'clips', tmp_path / 'work')
    Config(plain).dump(str(tmp_path / 'teacher.py'))
    teacher = dict(config=str(tmp_path / 'teacher.py'), checkpoint='t.pth')
    model = distiller(teacher, alpha=0.3)
    model['loss_kd'] = dict(type='KLDivergenceLoss', temperature=10.0)
    cfg = recipe(model, tmp_path / 'clips', tmp_path / 'work')
    path = tmp_path / 'kd.py'
    Config(cfg).dump(str(path))
    return str(path)


@pytest.fixture
def plain(config, tmp_path):
    """The config file of a model without a teacher."""
    return str(tmp_path / 'teacher.py')


@pytest.fixture
def add_run(tmp_path):
    """Write a finished run with given predictions of four clips."""

    def add(name, seed, predicted, labels=(), kind='distilled', **values):
        folder = tmp_path / 'out' / 'runs' / f'{name}-0' / f'seed_{seed}'
        if kind == 'teacher':
            folder = tmp_path / 'out' / 'teachers' / name
        folder.mkdir(parents=True)
        scores = np.full((4, 4), 0.1)
        scores[range(4), predicted] = 0.7
        if values.pop('diverged', False):
            scores[:] = np.nan
        np.savez(
            folder / 'scores.npz',
            clips=np.array(values.pop('clips', ['d', 'c', 'b', 'a'])),
            labels=np.arange(4),
            scores=scores,
            readable=np.array(values.pop('readable', [True] * 4)),
        )
        entry = dict(
            name=' '.join([name, *(f'{k}={v}' for k, v in labels)]),
            config=name,
            kind=kind,
            labels=dict(labels),
            seed=seed,
            digest=f'{name}{dict(labels)}',
            status='done',
            parameters=1000,
            minutes=1.5,
            memory_mb=100,
            memory_of='process',
            folder=str(folder),
            scores=str(folder / 'scores.npz'),
            clips=4,
            top1=float(np.mean(np.array(predicted) == range(4))),
            top5=1.0,
            ece=0.2,
        )
        (folder / 'run.json').write_text(json.dumps(entry | values))
        return str(folder)

    return add
