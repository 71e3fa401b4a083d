"""The option ``tensorboard`` of a config, and what a training writes."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.visualization import TensorboardVisBackend
from PIL import Image
from small_recipe import distiller, recipe, run, write_teacher
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from dvfl_mmaction.engine import tensorboard_option
from dvfl_mmaction.engine.config_checks import check_keys
from dvfl_mmaction.engine.tensorboard_option import apply_tensorboard
from dvfl_mmaction.errors import UserError

CONFIG = Path(__file__).parents[2] / 'configs' / 'vflnet_demo.py'
LOCAL = dict(type='LocalVisBackend')
BOARD = dict(type='TensorboardVisBackend')


def applied(**cfg):
    apply_tensorboard(cfg)
    return cfg


def test_true_adds_the_backend_and_the_hook_once():
    cfg = Config.fromfile(CONFIG)
    cfg.tensorboard = True
    apply_tensorboard(cfg)
    once = cfg.to_dict()
    assert once['visualizer']['vis_backends'] == [LOCAL, BOARD]
    assert once['vis_backends'] == [LOCAL, BOARD]
    assert once['visualizer']['type'] == 'ActionVisualizer'
    hook = once['default_hooks']['validation_pictures']
    assert hook == dict(type='ValidationPicturesHook')
    apply_tensorboard(cfg)
    assert cfg.to_dict() == once


def test_false_removes_them_from_a_dumped_config():
    plain = Config.fromfile(CONFIG)
    cfg = Config.fromfile(CONFIG)
    for value in (True, False):
        cfg.tensorboard = value
        apply_tensorboard(cfg)
    cfg.pop('tensorboard')
    assert cfg.to_dict() == plain.to_dict()


def test_without_the_option_the_config_stays():
    assert applied() == {}
    own = dict(vis_backends=[BOARD])
    assert applied(visualizer=own) == dict(visualizer=own)


def test_a_config_without_a_visualizer_keeps_mmengines_default():
    visualizer = applied(tensorboard=True)['visualizer']
    assert visualizer == dict(type='Visualizer', vis_backends=[LOCAL, BOARD])


def test_the_users_backend_and_hook_keep_their_arguments():
    own = dict(BOARD, save_dir='elsewhere')
    cfg = applied(
        tensorboard=True,
        visualizer=dict(vis_backends=[own]),
        default_hooks=dict(validation_pictures=dict(num_clips=3)),
    )
    assert cfg['visualizer']['vis_backends'] == [own]
    hook = dict(type='ValidationPicturesHook', num_clips=3)
    assert cfg['default_hooks']['validation_pictures'] == hook


@pytest.mark.parametrize(
    'kind', ['mmengine.TensorboardVisBackend', TensorboardVisBackend]
)
def test_a_backend_with_a_scope_or_as_a_class_is_found(kind):
    backends = [LOCAL, dict(type=kind)]
    for wanted, left in ((True, backends), (False, [LOCAL])):
        visualizer = dict(vis_backends=backends)
        cfg = applied(tensorboard=wanted, visualizer=visualizer)
        assert cfg['visualizer']['vis_backends'] == left


def test_other_values_are_refused():
    for value in ('yes', 1, dict()):
        with pytest.raises(UserError, match='give True or False'):
            applied(tensorboard=value)


def test_a_missing_extra_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(tensorboard_option, 'find_spec', lambda name: None)
    with pytest.raises(UserError) as raised:
        applied(tensorboard=True)
    assert "pip install 'dvfl_mmaction[tensorboard]'" in str(raised.value)
    assert '\n' not in str(raised.value)
    applied(tensorboard=False)
    assert importlib.util.find_spec('tensorboard')


def test_a_misspelt_key_is_refused():
    with pytest.raises(UserError, match="did you mean 'tensorboard'"):
        check_keys(dict(tensorbaord=True))


def read_events(folder: Path) -> EventAccumulator:
    """Scalars and pictures of the only event file below a folder."""
    (file,) = folder.rglob('events.out.tfevents.*')
    events = EventAccumulator(str(file), dict(images=0, scalars=0))
    events.Reload()
    return events


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """Work folder of a distillation of two epochs, and its runner."""
    folder = tmp_path_factory.mktemp('board')
    teacher = write_teacher(folder / 'teacher.pth')
    config = recipe(
        distiller(teacher), data, folder / 'work', tensorboard=True
    )
    config['default_hooks']['logger'] = dict(type='LoggerHook', interval=1)
    config['train_cfg']['val_interval'] = 1
    return folder / 'work', config, run(config)


def steps_of(events, name):
    return [event.step for event in events.Scalars(name)]


def test_losses_entropies_agreement_and_rate_are_logged(trained):
    events = read_events(trained[0])
    names = ['loss', 'loss_cls', 'loss_kd', 'lr', 'teacher_agreement']
    for name in [*names, 'teacher_entropy', 'student_entropy']:
        assert steps_of(events, name) == [1, 2, 3, 4, 5, 6], name
    assert steps_of(events, 'acc/top1') == [1, 2]
    assert events.Scalars('lr')[0].value == pytest.approx(0.05)


def test_each_validation_has_a_confusion_and_a_sheet_of_hard_clips(trained):
    work, _, runner = trained
    events = read_events(work)
    assert set(events.Tags()['images']) == {'val/confusion', 'val/hard_clips'}
    for name in ('val/confusion', 'val/hard_clips'):
        pictures = events.Images(name)
        assert [picture.step for picture in pictures] == [1, 2]
        for picture in pictures:
            image = Image.open(io.BytesIO(picture.encoded_image_string))
            pixels = np.asarray(image.convert('RGB'))
            assert image.width > 400 and image.height > 400
            assert pixels.std() > 10  # not an empty canvas
    # At most 12 tiles of 216 pixels in 4 columns.
    assert image.width == 4 * 216
    assert runner.val_loop.evaluator.metrics[0].report['clips'] == 12


def test_a_resumed_run_continues_the_steps(trained):
    work, config, _ = trained
    config = dict(config, resume=True, experiment_name='resumed')
    config['train_cfg'] = dict(config['train_cfg'], max_epochs=3)
    before = set(work.rglob('events.out.tfevents.*'))
    run(config)
    (new,) = set(work.rglob('events.out.tfevents.*')) - before
    events = EventAccumulator(str(new))
    events.Reload()
    assert steps_of(events, 'loss') == [7, 8, 9]
    assert [p.step for p in events.Images('val/confusion')] == [3]


def test_without_the_option_no_event_file_is_written(data, tmp_path):
    config = recipe(distiller(write_teacher(tmp_path / 't.pth')), data,
                    tmp_path / 'work')  # fmt: skip
    config['train_cfg']['max_epochs'] = 1
    run(config)
    assert not list(tmp_path.rglob('events.out.tfevents.*'))
