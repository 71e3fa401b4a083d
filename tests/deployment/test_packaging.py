"""Packages hold the model to the bit, and only what belongs to it."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mmaction.apis import inference_recognizer
from mmengine.config import Config
from safetensors.torch import load_file
from small_recipe import recipe, recognizer

import dvfl_mmaction
from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.prediction.batches import ClipReader
from dvfl_mmaction.analysis.prediction.clips import find_clips
from dvfl_mmaction.analysis.prediction.packaged import load_package_predictor
from dvfl_mmaction.analysis.prediction.predictor import (
    load_checkpoint_predictor,
)
from dvfl_mmaction.deployment.export import export_model
from dvfl_mmaction.deployment.package_config import from_data
from dvfl_mmaction.deployment.packaging import (
    as_tested,
    describe_preprocessing,
    package_model,
)
from dvfl_mmaction.distillation import DistillRecognizer3D
from dvfl_mmaction.files import hash_file


def weights_of(path):
    return torch.load(path, weights_only=True)['state_dict']


def package_source(source, out, report=lambda line: None, **options):
    """Package the checkpoint that ``source`` exports."""
    return package_model(
        Path(source.checkpoint).parent,
        out,
        source.checkpoint,
        source.config,
        report=report,
        **options,
    )


def test_a_loaded_model_has_the_weights_to_the_bit(packaged, work_dir):
    wanted = weights_of(work_dir / 'best_acc_top1_epoch_1.pth')
    model = dvfl_mmaction.load_model(packaged)
    found = model.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name
    assert type(model).__name__ == 'Recognizer3D' and not model.training
    # The file has neither the teacher nor an optimizer.
    assert load_file(packaged / 'model.safetensors').keys() == wanted.keys()


def test_mmaction2_predicts_with_a_loaded_model(packaged, work_dir):
    model = dvfl_mmaction.load_model(str(packaged))
    assert model.dataset_meta['classes'] == ['rechts', 'лево', 'unten', 'oben']
    clip = str(work_dir.parent / 'clips' / 'clip_1_0.mp4')
    scores = inference_recognizer(model, clip).pred_score
    predictor = load_checkpoint_predictor(
        str(work_dir / 'small_kd.py'),
        str(work_dir / 'best_acc_top1_epoch_1.pth'),
    )
    (_, sample, _) = ClipReader(find_clips([clip]), predictor)[0]
    assert torch.equal(scores, predictor.score([sample])[0])
    assert scores.max() > 0.3 and scores.sum() == pytest.approx(1)


def test_a_package_predicts_as_its_config_and_checkpoint(packaged, work_dir):
    ours = load_package_predictor(str(packaged), options={'clip_size': 40})
    theirs = load_checkpoint_predictor(
        str(work_dir / 'small_kd.py'),
        str(work_dir / 'best_acc_top1_epoch_1.pth'),
        options={'clip_size': 40},
    )
    assert ours.pipeline == theirs.pipeline
    assert ours.class_names == theirs.class_names
    clips = find_clips([str(work_dir.parent / 'clips')])
    samples = [ClipReader(clips, ours)[i][1] for i in range(len(clips))]
    assert samples[0]['inputs'].shape[-2:] == (40, 40)
    assert torch.equal(ours.score(samples), theirs.score(samples))


def test_the_config_is_data_that_keeps_tuples_and_no_folder(
    packaged, work_dir
):
    text = (packaged / 'config.json').read_text()
    assert str(work_dir.parent) not in text
    assert 'teacher' not in text and 'load_from' not in text
    cfg = from_data(json.loads(text))
    source = Config.fromfile(work_dir / 'small_kd.py')
    assert cfg['test_pipeline'] == source.test_pipeline.copy()
    resize = cfg['test_pipeline'][3]
    assert resize['scale'] == (32, 32) and type(resize['scale']) is tuple
    arch = cfg['model']['backbone']['arch']
    assert arch == dict(embed_dim=8, depths=(1, 1))
    assert cfg['model']['type'] == 'Recognizer3D'
    assert cfg['train_dataloader']['dataset']['data_root'] == 'clips'


def test_the_card_has_the_tests_of_these_weights(packaged, work_dir):
    (path,) = work_dir.glob('*/results.json')
    results = json.loads(path.read_text())
    card = (packaged / 'README.md').read_text()
    front = yaml.safe_load(card.split('---')[1])
    assert front['license'] == 'apache-2.0'
    assert front['metrics'] == ['accuracy']
    assert 'knowledge-distillation' in front['tags']
    (entry,) = front['model-index'][0]['results']
    assert entry['dataset'] == dict(
        name='clips', type='clips', split='list.txt'
    )
    assert entry['metrics'][0] == dict(
        type='accuracy', value=results['top1'], name='top-1 accuracy, 1x1'
    )
    correct = results['correct']['top1']
    # Of 4 clips; computed by hand.
    interval = {0: '0.0 to 49.0', 1: '4.6 to 69.9', 2: '15.0 to 85.0'}
    assert f'{25 * correct}.0 % ({interval[correct]})' in card
    assert '| teacher ' in card and 'large' in card and 'alpha 0.3' in card
    assert '4 frames of 32 x 32 pixels' in card
    assert 'rechts, лево, unten, oben' in card


def test_the_commands_of_the_card_name_its_folder(work_dir, tmp_path):
    out = tmp_path / "Tom's model"
    package_model(work_dir, out, name='A net', report=lambda line: None)
    card = (out / 'README.md').read_text('utf-8')
    assert '\n# A net\n' in card
    (line,) = (x for x in card.splitlines() if x.startswith('python tools'))
    words = ['python', 'tools/predict.py', out.name, 'video.mp4']
    assert shlex.split(line) == words
    assert 'dvfl_mmaction.load_model("Tom\'s model")' in card


def test_the_hub_reads_the_card(packaged):
    hub = pytest.importorskip('huggingface_hub')
    card = hub.ModelCard.load(packaged / 'README.md')
    (first, *_) = card.data.eval_results
    assert first.metric_type == 'accuracy' and first.dataset_name == 'clips'
    assert card.data.pipeline_tag == 'video-classification'


def test_the_last_checkpoint_has_no_tests(work_dir, tmp_path):
    lines = []
    out = package_model(
        work_dir, tmp_path / 'm', 'last', licence='mit', report=lines.append
    )
    wanted = weights_of(work_dir / 'epoch_2.pth')
    found = load_file(out / 'model.safetensors')
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert lines[-1].endswith(', 1 of other weights left out')
    card = (out / 'README.md').read_text()
    assert 'No test of these weights was found' in card
    assert 'model-index' not in card and 'license: mit' in card


def test_tests_of_the_quickstart_are_on_the_card(work_dir, tmp_path):
    work = shutil.copytree(work_dir, tmp_path / 'work')
    (path,) = work.glob('*/results.json')
    (work / 'test_1x1').mkdir()
    path.parent.rename(work / 'test_1x1' / path.parent.name)
    (work / 'interrupted').mkdir()
    (work / 'interrupted' / 'results.json').write_text('[]')
    lines = []
    out = package_model(work, tmp_path / 'm', report=lines.append)
    assert '1 tests of these weights' in lines[-1]
    assert lines[-2].endswith('holds a list, not a JSON object')
    assert 'No test of these weights' not in (out / 'README.md').read_text()


def test_exported_files_are_added_with_what_belongs_to_them(source, tmp_path):
    export_model(source, tmp_path / 'a.pt2', 'torch-export')
    export_model(source, tmp_path / 'b.xml', 'openvino')
    exported = [tmp_path / 'a.pt2', tmp_path / 'b.xml']
    out = package_source(
        source, tmp_path / 'm', exported=exported, name='Small'
    )
    names = ['a.pt2', 'b.bin', 'b.xml']
    assert sorted(p.name for p in (out / 'exported').iterdir()) == names
    manifest = json.loads((out / 'package.json').read_text())
    assert manifest['name'] == 'Small'
    for name in names:
        entry = manifest['files'][f'exported/{name}']
        assert entry['sha256'] == hash_file(tmp_path / name)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'a.pt2').write_text('other')
    exported.append(tmp_path / 'other' / 'a.pt2')
    with pytest.raises(UserError, match='two files named a.pt2'):
        package_source(source, tmp_path / 'n', exported=exported)


def test_exported_files_of_other_weights_are_refused(
    source, work_dir, tmp_path
):
    exported = [tmp_path / 'a.pt2']
    export_model(source, exported[0], 'torch-export')
    with pytest.raises(UserError, match='exported from epoch_1.pth, which is'):
        package_model(work_dir, tmp_path / 'm', exported=exported)
    exported[0].write_text('text')
    with pytest.raises(UserError, match='a.pt2 cannot be read'):
        package_source(source, tmp_path / 'm', exported=exported)
    assert [path.name for path in tmp_path.iterdir()] == ['a.pt2']


def test_exported_files_without_their_runtime_are_added_uncompared(
    source, tmp_path, monkeypatch
):
    path = tmp_path / 'a.onnx'
    path.write_text('model')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    lines = []
    out = package_source(
        source, tmp_path / 'm', exported=[path], report=lines.append
    )
    assert (out / 'exported' / 'a.onnx').read_text() == 'model'
    assert any('a.onnx was not compared' in line for line in lines)


def test_a_folder_is_replaced_only_if_it_is_a_package(work_dir, tmp_path):
    def package(name, **kwargs):
        kwargs['report'] = lambda line: None
        return package_model(work_dir, tmp_path / name, **kwargs)

    (tmp_path / 'notes').mkdir()
    (tmp_path / 'notes' / 'mine.txt').write_text('mine')
    with pytest.raises(UserError, match='is not a packaged model'):
        package('notes', overwrite=True)
    first = package('m')
    before = hash_file(first / 'model.safetensors')
    with pytest.raises(UserError, match='already; give another path, or --ov'):
        package('m', checkpoint='last')
    with pytest.raises(UserError, match='--exported absent.onnx was not'):
        package('m', overwrite=True, exported=['absent.onnx'])
    assert hash_file(first / 'model.safetensors') == before
    package('m', checkpoint='last', overwrite=True)
    assert hash_file(first / 'model.safetensors') != before
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ['m', 'notes']


def test_what_is_not_found_is_named(work_dir, tmp_path):
    empty = tmp_path / 'empty'
    empty.mkdir()
    for folder, kwargs, message in (
        (tmp_path / 'absent', {}, 'absent is no folder'),
        (empty, {}, 'empty has no config; give the one'),
        (empty, dict(config='a.py'), 'has no best_.*give --checkpoint last'),
        (empty, dict(config='a.py', checkpoint='last'), 'has no checkpoint'),
        (work_dir, dict(checkpoint='a.pth'), 'a.pth was not found'),
    ):
        with pytest.raises(UserError, match=message):
            package_model(folder, tmp_path / 'm', **kwargs)
    assert not (tmp_path / 'm').exists()


def test_parts_of_other_packages_are_left_out_or_refused(work_dir, tmp_path):
    lines = []
    config = recipe(
        recognizer(),
        work_dir.parent / 'clips',
        tmp_path,
        custom_hooks=[dict(type='TheirHook')],
    )
    config['test_pipeline'] = config['test_dataloader']['dataset']['pipeline']
    path = tmp_path / 'theirs.py'
    Config(config).dump(str(path))
    out = package_model(
        work_dir, tmp_path / 'm', config=path, report=lines.append
    )
    assert "custom_hooks.0: type names 'TheirHook'" in lines[0]
    assert 'custom_hooks' not in (out / 'config.json').read_text()
    config['test_pipeline'].insert(0, dict(type='TheirStep'))
    Config(config).dump(str(path))
    with pytest.raises(UserError, match="0: type names 'TheirStep'"):
        package_model(work_dir, tmp_path / 'n', config=path)


@pytest.mark.parametrize(
    ('kind', 'plain'),
    [
        ('mmaction.DistillRecognizer3D', 'mmaction.Recognizer3D'),
        (DistillRecognizer3D, 'Recognizer3D'),
    ],
)
def test_a_student_is_packaged_without_its_teacher(kind, plain):
    backbone = dict(type='VFLNetNano')
    hooks = dict(logger=dict(type='LoggerHook'))
    accuracy = dict(type='mmaction.TeacherAccuracyHook')
    model = dict(type=kind, teacher=dict(config='c'), alpha=0.3, loss_kd=None)
    pretrained = backbone | dict(pretrained='w.pth')
    mean = dict(type='ClipDataPreprocessor', mean=[1.0])
    blends = mean | dict(blending=dict(type='MixupOrCutmix'))
    config = dict(
        model=dict(model, backbone=pretrained, data_preprocessor=blends),
        default_hooks=dict(hooks, accuracy=accuracy, none=None),
    )
    found = as_tested(Config(config), [])
    assert found['model'] == dict(
        type=plain, backbone=backbone, data_preprocessor=mean
    )
    assert found['default_hooks'] == dict(hooks, none=None)


def test_the_preprocessing_names_no_folder_of_this_machine():
    step = dict(type='UniformSample', clip_len=4, table='/home/ann/t.json')
    found = describe_preprocessing(dict(model={}), [step], (3, 4, 32, 48))
    assert found['pipeline'] == [dict(step, table='t.json')]
    assert found['sampling'] == dict(step, table='t.json')
    assert (found['frames'], found['height'], found['width']) == (4, 32, 48)
    assert found['views'] == dict(clips=1, crops=1)
    crop = dict(type='mmaction.ThreeCrop', crop_size=32)
    steps = [dict(step, num_clips=4), crop, dict(type='FormatShape')]
    found = describe_preprocessing(dict(model={}), steps, (3, 4, 32, 48))
    assert found['views'] == dict(clips=4, crops=3)


def test_the_size_is_that_of_the_test(work_dir, tmp_path):
    config = Config.fromfile(work_dir / 'small_kd.py')
    config.test_dataloader.dataset.pipeline[3].scale = (48, 40)
    config.dump(str(tmp_path / 'larger.py'))
    out = package_model(
        work_dir,
        tmp_path / 'm',
        config=tmp_path / 'larger.py',
        report=lambda line: None,
    )
    found = json.loads((out / 'preprocessing.json').read_text())
    assert (found['height'], found['width']) == (40, 48)


@pytest.mark.parametrize(('to_rgb', 'order'), [(True, 'BGR'), (False, 'RGB')])
def test_the_preprocessing_has_the_order_of_mean_and_deviation(to_rgb, order):
    given = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=to_rgb)
    cfg = dict(model=dict(data_preprocessor=given))
    steps = [dict(type='UniformSample', clip_len=4)]
    found = describe_preprocessing(cfg, steps, (3, 4, 32, 48))
    assert found['colour_order'] == order
    assert (found['mean'], found['std']) == ([1, 2, 3], [4, 5, 6])


def test_the_card_says_whose_clips_chose_the_checkpoint(
    work_dir, packaged, tmp_path
):
    sentence = 'The checkpoint is the best of its training on list.txt, so'
    assert sentence in (packaged / 'README.md').read_text('utf-8')
    # The same weights, chosen by their epoch.
    shutil.copyfile(work_dir / 'best_acc_top1_epoch_1.pth', tmp_path / 'e.pth')
    other = package_model(
        work_dir,
        tmp_path / 'other',
        checkpoint=str(tmp_path / 'e.pth'),
        report=lambda line: None,
    )
    card = (other / 'README.md').read_text('utf-8')
    assert 'top-1 (95 %)' in card and 'flattered' not in card
