"""The work folder of a small distillation, and the package made of it."""

import shutil

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_recipe import (
    distiller,
    recipe,
    recognizer,
    run,
    write_dataset,
    write_teacher,
)

from dvfl_mmaction.deployment.packaging import package_model

CLASSES = ['rechts', 'лево', 'unten', 'oben']


@pytest.fixture(scope='session')
def work_dir(tmp_path_factory):
    """Its best checkpoint is tested, and the last one is another."""
    folder = tmp_path_factory.mktemp('training')
    init_default_scope('mmaction')
    data = write_dataset(folder / 'clips', clips_per_class=1)
    (data / 'classes.txt').write_text('\n'.join(CLASSES), encoding='utf-8')
    work = folder / 'work'
    work.mkdir()
    write_teacher(work / 'best_acc_top1_epoch_1.pth', config=recognizer())
    write_teacher(work / 'epoch_2.pth', seed=8, config=recognizer())
    (work / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth')
    Config(dict(model=recognizer(width=12))).dump(str(folder / 'large.py'))
    teacher = dict(config=str(folder / 'large.py'), checkpoint='absent.pth')
    model = distiller(teacher, alpha=0.3)
    config = recipe(model, data, work)
    config['load_from'] = str(work / 'best_acc_top1_epoch_1.pth')
    config['default_hooks']['results'] = dict(type='ResultsHook')
    config['test_pipeline'] = config['test_dataloader']['dataset']['pipeline']
    path = work / 'small_kd.py'
    Config(config).dump(str(path))
    run(Config.fromfile(path), 'test')
    return work


@pytest.fixture(scope='session')
def packaged(work_dir, tmp_path_factory):
    """A package that no test changes."""
    out = tmp_path_factory.mktemp('packages') / 'small'
    return package_model(work_dir, out, report=lambda line: None)


@pytest.fixture
def copied(packaged, tmp_path):
    """A package to damage."""
    return shutil.copytree(packaged, tmp_path / 'copy')
