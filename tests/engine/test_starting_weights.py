"""What a run starts from: pretrained weights, or a released file."""

import pytest
import torch
from mmaction.apis import init_recognizer
from mmaction.registry import MODELS, RUNNERS
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from small_recipe import NUM_CLASSES, recipe, recognizer, run, write_teacher
from small_recognizers import as_released, assert_same

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.named_weights import URLS_VARIABLE

NAME = 'focalnet_tiny_srf'


@pytest.fixture
def hosts(server, tmp_path, monkeypatch):
    """A server without files, which stands for the hosts."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv(URLS_VARIABLE, server.url('/{name}.pth'))
    return server


def named(**kwargs):
    """A recognizer that starts from named weights."""
    model = recognizer(**kwargs)
    model['backbone']['pretrained'] = NAME
    return model


def released_file(path, **kwargs):
    """Write a released checkpoint, and return its weights by our names."""
    weights = MODELS.build(recognizer(**kwargs)).state_dict()
    torch.save(dict(model=as_released(weights), epoch=119), path)
    return weights


def test_a_training_without_the_weights_ends_before_its_data_are_read(
    hosts, data, tmp_path
):
    config = recipe(named(), data, tmp_path / 'run')
    config['train_dataloader']['dataset']['pipeline'] = [dict(type='Absent')]
    runner = RUNNERS.build(config)
    assert not hosts.requests  # building the model downloads nothing
    with pytest.raises(UserError, match=f'{NAME} are not in .*=None'):
        runner.train()
    assert len(hosts.requests) == 1


def test_only_the_start_of_a_training_reads_pretrained_weights(
    hosts, data, tmp_path
):
    scratch = recipe(recognizer(), data, tmp_path / 'run')
    scratch['train_cfg']['max_epochs'] = 1
    run(scratch)
    checkpoint = str(tmp_path / 'run' / 'epoch_1.pth')
    config = recipe(named(), data, tmp_path / 'run', load_from=checkpoint)
    config['train_cfg']['max_epochs'] = 1
    run(config, 'test')
    resumed = recipe(named(), data, tmp_path / 'run', resume=True)
    assert run(resumed).epoch == 2
    run(config | dict(work_dir=str(tmp_path / 'other')))
    Config(config).dump(str(tmp_path / 'config.py'))
    init_recognizer(str(tmp_path / 'config.py'), checkpoint, 'cpu')
    assert not hosts.requests


def test_a_run_loads_a_released_file(data, tmp_path):
    path = str(tmp_path / 'released.pth')
    weights = released_file(path)
    config = recipe(recognizer(), data, tmp_path / 'run', load_from=path)
    tested = run(config, 'test')
    assert_same(tested.model.state_dict(), weights)
    config['optim_wrapper']['optimizer']['lr'] = 0.0
    config['train_cfg']['max_epochs'] = 1
    trained = run(config)
    assert_same(trained.model.state_dict(), weights)
    log = next((tmp_path / 'run').rglob('*.log')).read_text()
    assert f'{path}: {len(weights)} weights mapped; 0 dropped' in log


@pytest.mark.parametrize(
    'model, resume, message',
    [
        (
            recognizer(num_classes=7),
            False,
            f'num_classes is {NUM_CLASSES} in the file, wanted: 7',
        ),
        (recognizer(), True, 'without the state of a training'),
    ],
)
def test_a_released_file_that_does_not_fit_gives_one_line(
    data, tmp_path, model, resume, message
):
    path = str(tmp_path / 'released.pth')
    released_file(path)
    config = recipe(
        model, data, tmp_path / 'run', load_from=path, resume=resume
    )
    with pytest.raises(UserError, match=message) as error:
        run(config, 'train' if resume else 'test')
    assert '\n' not in str(error.value)


def test_weights_for_images_are_no_checkpoint(data, tmp_path):
    path = str(tmp_path / 'image.pth')
    weights = as_released(MODELS.build(recognizer()).state_dict())
    spatial = {k: v for k, v in weights.items() if 'temporal' not in k}
    torch.save(dict(model=spatial), path)
    config = recipe(recognizer(), data, tmp_path / 'run', load_from=path)
    with pytest.raises(UserError, match='set model.backbone.pretrained of'):
        run(config, 'test')


def test_other_checkpoints_are_left_as_they_are(data, tmp_path):
    write_teacher(tmp_path / 'ours.pth', config=recognizer())
    path = str(tmp_path / 'ours.pth')
    tested = run(
        recipe(recognizer(), data, tmp_path / 'run', load_from=path), 'test'
    )
    assert_same(tested.model.state_dict(), torch.load(path)['state_dict'])


def deeper() -> dict:
    """A network whose first blocks have the shapes of the usual one."""
    config = recognizer()
    config['backbone']['arch'] = dict(embed_dim=8, depths=(2, 1))
    return config


@pytest.mark.parametrize(
    ('saved', 'mode', 'message'),
    [
        (
            recognizer(num_classes=5),
            'test',
            r'weight is \(5, 16\), not \(4, 16',
        ),
        (recognizer(num_classes=5), 'val', 'a checkpoint that was trained wi'),
        (deeper(), 'test', r'layers.0.blocks.1.mlp.fc1.bias is unexpected; .'),
    ],
)
def test_other_weights_are_not_tested(data, tmp_path, saved, mode, message):
    path = str(tmp_path / 'other.pth')
    write_teacher(tmp_path / 'other.pth', config=saved)
    config = recipe(recognizer(), data, tmp_path / 'run', load_from=path)
    with pytest.raises(UserError, match=message) as error:
        run(config, mode)
    assert str(error.value).startswith(f'the weights in {path} do not fit ')


def test_a_test_ignores_the_weights_of_parts_that_it_lacks(data, tmp_path):
    path = str(tmp_path / 'trained.pth')
    write_teacher(tmp_path / 'trained.pth', config=recognizer(num_classes=5))
    model = dict(recognizer(), cls_head=dict(type='FeatureHead'))
    model['cls_head']['average_clips'] = 'score'
    config = recipe(model, data, tmp_path / 'run', load_from=path)
    config['test_evaluator'] = dict(type='ClipRetrieval', topk=(1,))
    run(config, 'test')


def test_a_training_may_start_from_another_head(data, tmp_path):
    path = str(tmp_path / 'other.pth')
    write_teacher(tmp_path / 'other.pth', config=recognizer(num_classes=5))
    config = recipe(recognizer(), data, tmp_path / 'run', load_from=path)
    config['train_cfg'].update(max_epochs=1, val_interval=9)
    run(config)


@pytest.mark.parametrize(
    ('weights', 'message'),
    [
        (
            {'patch_embed.proj.weight': torch.ones(12, 3, 4, 4)},
            'weight is (12',
        ),
        ({'conv1.weight': torch.ones(64, 3, 7, 7)}, 'it lacks patch_embed.pr'),
    ],
)
def test_a_start_from_another_backbone_is_refused(tmp_path, weights, message):
    path = str(tmp_path / 'other.pth')
    weights = {f'backbone.{name}': value for name, value in weights.items()}
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(UserError, match='is one of this VideoFocalNet') as e:
        load_checkpoint(MODELS.build(recognizer()), path)
    assert message in str(e.value).replace('backbone.', '')


def test_inference_does_not_use_random_weights(data, tmp_path):
    path = str(tmp_path / 'released.pth')
    released_file(path)
    config = Config(recipe(recognizer(), data, tmp_path / 'run'))
    with pytest.raises(UserError, match='convert it first'):
        init_recognizer(config, path, 'cpu')
