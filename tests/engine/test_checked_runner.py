"""The runner checks data and options before it builds a model."""

import pytest
import torch
from mmaction.registry import MODELS, RUNNERS
from small_recipe import NUM_CLASSES, recipe, recognizer, run

from dvfl_mmaction import UserError


def test_missing_data_is_reported_before_a_model_is_built(tmp_path):
    config = recipe(
        dict(type='NoSuchModel'), tmp_path / 'gone', tmp_path / 'work'
    )
    config['prepare_command'] = 'python tools/prepare_dataset.py mine'
    with pytest.raises(UserError) as error:
        RUNNERS.build(config)
    assert str(tmp_path / 'gone' / 'list.txt') in str(error.value)
    assert 'python tools/prepare_dataset.py mine' in str(error.value)
    assert not (tmp_path / 'work').exists()


def test_missing_videos_are_reported(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    config['val_dataloader']['dataset']['data_prefix'] = dict(video='gone')
    with pytest.raises(UserError, match=f'val_dataloader reads {data}/gone'):
        RUNNERS.build(config)


def test_testing_needs_only_test_data(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path, load_from=None)
    torch.save(
        dict(state_dict=MODELS.build(recognizer()).state_dict()),
        tmp_path / 'net.pth',
    )
    config['load_from'] = str(tmp_path / 'net.pth')
    config['train_dataloader']['dataset']['ann_file'] = 'gone.txt'
    assert 'acc/top1' in RUNNERS.build(config).test()
    config['experiment_name'] = 'training'
    with pytest.raises(UserError, match='train_dataloader reads'):
        RUNNERS.build(config).train()


def test_a_run_blends_with_the_heads_number(data, tmp_path):
    model = recognizer()
    model['data_preprocessor']['blending'] = dict(type='MixupOrCutmix')
    config = recipe(model, data, tmp_path)
    config['train_cfg']['max_epochs'] = 1
    runner = run(config)
    blending = runner.model.data_preprocessor.blending
    assert blending.num_classes == NUM_CLASSES
    # A recording's fingerprint contains the number, too.
    preprocessor = runner.cfg.model.data_preprocessor
    assert preprocessor.blending.num_classes == NUM_CLASSES
