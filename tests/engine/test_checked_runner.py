"""The runner checks data and options before it builds a model."""

import pytest
import torch
from mmaction.apis import inference_recognizer, init_recognizer
from mmaction.registry import MODELS, RUNNERS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hooks import CheckpointHook, Hook
from small_recipe import NUM_CLASSES, recipe, recognizer, run, write_teacher

from dvfl_mmaction import UserError
from dvfl_mmaction.errors import user_error_line


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


def test_a_test_by_the_config_of_a_resumed_training_resumes_nothing(
    data, tmp_path
):
    write_teacher(tmp_path / 'net.pth', config=recognizer())  # only weights
    path = str(tmp_path / 'net.pth')
    config = recipe(
        recognizer(), data, tmp_path / 'run', load_from=path, resume=True
    )
    config['train_dataloader']['dataset']['ann_file'] = 'gone.txt'
    tested = run(config, 'test').model.state_dict()
    weight = torch.load(path, weights_only=True)['state_dict']
    for name, value in weight.items():
        assert torch.equal(tested[name], value), name


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


def test_the_backbone_can_be_compiled(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    config['train_cfg']['max_epochs'] = 1
    plain = run(config).model.state_dict()
    compiled = run(
        config
        | dict(compile=dict(backend='eager'), experiment_name='compiled')
    ).model
    assert compiled.backbone._compiled_call_impl is not None
    assert compiled._compiled_call_impl is None
    with pytest.raises(UserError, match="compile is 'default'; give True"):
        run(config | dict(compile='default', experiment_name='refused'))
    for name, weights in compiled.state_dict().items():
        torch.testing.assert_close(weights, plain[name])


class Interrupt(Hook):
    """Presses Ctrl-C after some iterations."""

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.iteration:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ('iteration', 'remedy'),
    [(2, 'has no checkpoint yet; start again'), (4, '--resume, from')],
)
def test_ctrl_c_says_how_to_resume(data, tmp_path, iteration, remedy):
    config = recipe(recognizer(), data, tmp_path)
    runner = RUNNERS.build(config)
    runner.register_hook(Interrupt(iteration))
    with pytest.raises(KeyboardInterrupt, match=remedy) as error:
        runner.train()
    line = user_error_line(error.value)
    assert line.startswith('training interrupted') and str(tmp_path) in line


def test_the_way_to_resume_leaves_out_where_the_run_began(data, tmp_path):
    """With --resume, MMAction2 resumes from ``load_from`` if it is given."""
    config = recipe(recognizer(), data, tmp_path, load_from='a.pth')
    (tmp_path / 'last_checkpoint').write_text('b.pth')
    hint = RUNNERS.build(config)._resume_hint()
    assert hint.endswith('--resume, from b.pth, without load_from=a.pth')
    config['experiment_name'] = 'resumed'
    hint = RUNNERS.build(config | dict(resume=True))._resume_hint()
    assert hint.endswith('--resume, from b.pth')


def test_a_training_with_nothing_to_resume_begins_from_load_from(
    data, tmp_path
):
    """MMAction2 drops ``load_from`` of the config beside ``--resume``."""

    def begin(load_from):
        path = tmp_path / 'config.py'
        config = recipe(recognizer(), data, tmp_path, load_from=load_from)
        Config(config).dump(str(path))
        cfg = Config.fromfile(str(path))
        cfg.resume, cfg.load_from = True, None
        runner = RUNNERS.build(cfg)
        return runner._resume, runner._load_from

    assert begin('a.pth') == (False, 'a.pth')
    assert begin(None) == (True, None)
    (tmp_path / 'last_checkpoint').write_text('b.pth')
    assert begin('a.pth') == (True, None)


class KeepShapes(Hook):
    """Keeps the shape of each training batch's clips."""

    shapes = ()

    def after_train_iter(self, runner, batch_idx, data_batch=None, **kwargs):
        self.shapes = (*self.shapes, tuple(data_batch['inputs'][0].shape))


def test_a_run_follows_its_options_and_dumps_what_they_stand_for(
    data, tmp_path
):
    options = dict(clip_size=40, clip_len=6, frame_interval=2, epochs=3)
    schedule = [dict(type='LinearLR', end=1), dict(type='PolyLR', end=2)]
    config = recipe(
        recognizer(), data, tmp_path, param_scheduler=schedule, **options
    )
    config['work_dir'] = str(tmp_path / 'run')
    runner, hook = RUNNERS.build(config), KeepShapes()
    runner.register_hook(hook)
    runner.train()
    assert hook.shapes == ((1, 3, 6, 40, 40),) * 9
    assert (tmp_path / 'run' / 'epoch_3.pth').is_file()
    (path,) = (tmp_path / 'run').glob('*.py')
    dumped = Config.fromfile(path)
    assert dumped.clip_size == 40 and dumped.train_cfg.max_epochs == 3
    assert dumped.test_pipeline == dumped.test_dataloader.dataset.pipeline
    model = init_recognizer(
        dumped, str(tmp_path / 'run' / 'epoch_3.pth'), device='cpu'
    )
    sample = Compose(dumped.test_pipeline)(
        dict(filename=str(data / 'clip_0_0.mp4'), label=0, modality='RGB')
        | dict(start_index=0)
    )
    assert sample['inputs'].shape == (1, 3, 6, 40, 40)
    scores = inference_recognizer(model, str(data / 'clip_0_0.mp4')).pred_score
    assert scores.sum() == pytest.approx(1)


def test_a_schedule_that_the_training_cuts_off_is_reported(data, tmp_path):
    schedule = [dict(type='CosineAnnealingLR', end=4)]
    config = recipe(recognizer(), data, tmp_path, param_scheduler=schedule)
    config['train_cfg']['max_epochs'] = 1
    run(config)
    (path,) = tmp_path.glob('*/*.log')
    (line,) = [x for x in path.read_text().splitlines() if 'cut off' in x]
    assert 'set epochs=1 instead' in line


def test_a_warm_up_of_one_step_does_not_keep_its_rate(data, tmp_path):
    schedule = [dict(type='LinearLR', start_factor=0.01, end=1)]
    config = recipe(recognizer(), data, tmp_path, param_scheduler=schedule)
    runner = run(config)
    assert runner.optim_wrapper.get_lr()['lr'] == [0.05]
    (path,) = tmp_path.glob('*/*.log')
    assert 'warm-up of a single step' in path.read_text()


def test_validation_alone_returns_the_metrics(data, tmp_path):
    config = recipe(recognizer(), data, tmp_path)
    config['default_hooks']['checkpoint']['save_best'] = 'auto'
    runner = RUNNERS.build(config)
    assert 'acc/top1' in runner.val()
    assert not list(tmp_path.glob('*.pth'))
    assert any(isinstance(h, CheckpointHook) for h in runner.hooks)


def test_clips_with_several_labels_are_trained_and_validated(data, tmp_path):
    lines = (data / 'list.txt').read_text().splitlines()
    several = tmp_path / 'several.txt'
    several.write_text('\n'.join(f'{line} 3' for line in lines))
    config = recipe(recognizer(), data, tmp_path)
    config['train_cfg']['max_epochs'] = 1
    config['model']['cls_head']['loss_cls'] = dict(type='BCELossWithLogits')
    config['model']['cls_head']['average_clips'] = 'score'
    for part in ('train', 'val', 'test'):
        config[f'{part}_dataloader']['dataset'] |= dict(
            ann_file=str(several), multi_class=True
        )
    runner = run(config)
    assert runner.train_dataloader.dataset.num_classes == NUM_CLASSES
    metrics = runner.val()
    assert set(metrics) == {'acc/mean_average_precision'}
    assert metrics['acc/mean_average_precision'] > 0.25
