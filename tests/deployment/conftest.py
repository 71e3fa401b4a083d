"""A small classifier as files, and the package of a small distillation."""

import copy
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import MODELS
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

from dvfl_mmaction.deployment import export, int8
from dvfl_mmaction.deployment.export import load_source
from dvfl_mmaction.deployment.graph_capture import capture_graph
from dvfl_mmaction.deployment.packaging import package_model
from dvfl_mmaction.files import hash_file

NAMES = ('left', 'right', 'up', 'down')
CLASSES = ['rechts', 'лево', 'unten', 'oben']


@pytest.fixture(scope='session', autouse=True)
def convert_each_graph_once():
    """Keep graphs and their ONNX form: making one takes several seconds.

    Tests ask for those of the same recognizers, for files of several formats.
    """
    graphs, models, to_onnx = {}, {}, torch.onnx.export

    def capture(recognizer, clip_len, size, dynamic=(), streaming=False):
        key = recognizer, clip_len, size, tuple(dynamic), streaming
        if key not in graphs:
            graphs[key] = capture_graph(*key)
        return graphs[key]

    def convert(program, *args, **options):
        if args:
            return to_onnx(program, *args, **options)
        if program not in models:
            models[program] = to_onnx(program, **options).model_proto
        return SimpleNamespace(model_proto=copy.deepcopy(models[program]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, 'capture_graph', capture)
        patch.setattr(int8, 'capture_graph', capture)
        patch.setattr(torch.onnx, 'export', convert)
        yield


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    folder = write_dataset(tmp_path_factory.mktemp('clips'))
    (folder / 'classes.txt').write_text('\n'.join(NAMES))
    return folder


def write_source(folder, data, **backbone):
    """Config, weights and the results of a test; load them for export."""
    init_default_scope('mmaction')
    model = recognizer()
    model['backbone'] |= dict(init_cfg=[]) | backbone
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MODELS.build(model)
        network.cls_head.fc_cls.weight.data.mul_(10)
    checkpoint = folder / 'epoch_1.pth'
    torch.save(dict(state_dict=network.state_dict()), checkpoint)
    Config(recipe(model, data, folder)).dump(str(folder / 'config.py'))
    (folder / '20260101_000000').mkdir()
    results = dict(
        top1=87.5,
        clips=40,
        checkpoint=dict(sha256=hash_file(checkpoint)),
        versions={},
    )
    path = folder / '20260101_000000' / 'results.json'
    path.write_text(json.dumps(results))
    return load_source(str(folder / 'config.py'), str(checkpoint))


@pytest.fixture(scope='session')
def source(tmp_path_factory, data):
    """A model of whole clips, 4 frames of 32 x 32, 4 classes."""
    return write_source(tmp_path_factory.mktemp('clip_model'), data)


@pytest.fixture(scope='session')
def causal_source(tmp_path_factory, data):
    """Its causal form, with a mean over 3 frames."""
    folder = tmp_path_factory.mktemp('causal_model')
    return write_source(folder, data, temporal='causal', temporal_window=3)


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
