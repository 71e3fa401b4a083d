"""Classifiers from checkpoints give the scores of the recognizers."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_recipe import pipeline, write_clip

from dvfl_mmaction import UserError
from dvfl_mmaction.analysis.prediction.batches import predict_clips
from dvfl_mmaction.analysis.prediction.clips import Clip
from dvfl_mmaction.analysis.prediction.predictor import (
    load_checkpoint_predictor,
    load_recognizer,
)
from dvfl_mmaction.datasets.video_reader import VideoReader
from dvfl_mmaction.deployment.export import export_model, load_source
from dvfl_mmaction.deployment.live.frames import Frame
from dvfl_mmaction.deployment.live.load import (
    load_from_checkpoint,
    load_from_export,
    split_pipeline,
)

TEN_CROPS = pipeline()
TEN_CROPS[3] = dict(type='TenCrop', crop_size=32)


def paths(folder, name):
    return str(folder / f'{name}.py'), str(folder / f'{name}.pth')


def images(path):
    with VideoReader(path) as reader:
        return [reader.to_rgb(frame) for frame in reader.frames()]


def answers(classifier, images):
    """Scores by the index of the newest frame."""
    found = {}
    for index, image in enumerate(images):
        frame = Frame(index, index / 25, image, 0.0, not index)
        work = classifier.push(frame)
        if work is not None:
            found[index] = classifier.classify(work)
    return found


def test_a_window_over_a_whole_video_has_the_scores_of_its_prediction(
    folder, tmp_path
):
    config, checkpoint = paths(folder, 'clip')
    predictor = load_checkpoint_predictor(config, checkpoint)
    path = tmp_path / 'b.mp4'
    write_clip(path, 0, frames=41)
    clip = Clip(path, 'b.mp4')
    (wanted,) = predict_clips([clip], predictor)
    # The config samples the middles of 4 segments: frames 5, 15, 25, 35.
    classifier = load_from_checkpoint(config, checkpoint, stride=10, every=1)
    found = answers(classifier, images(path))
    assert list(found) == list(range(30, 41))
    np.testing.assert_allclose(found[35], wanted.scores, atol=1e-6)


def test_a_causal_model_answers_every_frame_as_the_recognizer(folder):
    config, checkpoint = paths(folder, 'causal')
    loaded = load_recognizer(config, checkpoint)
    classifier = load_from_checkpoint(
        config, checkpoint, classes=str(folder / 'classes.txt')
    )
    pictures = images(folder / 'a.mp4')
    found = answers(classifier, pictures[:4])
    assert list(found) == [0, 1, 2, 3]
    small = [classifier.prepare(image) for image in pictures[:4]]
    clip = torch.from_numpy(np.stack(small)).permute(3, 0, 1, 2)[None].float()
    data = loaded.model.data_preprocessor
    clip = (clip - data.mean.view(1, 3, 1, 1, 1)) / data.std.view(
        1, 3, 1, 1, 1
    )
    with torch.no_grad():
        for index, scores in found.items():
            features = loaded.model.backbone(clip[:, :, : index + 1])
            wanted = loaded.model.cls_head(features).softmax(-1)[0]
            np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert classifier.name_of(1) == 'лево'


def test_the_stride_is_that_of_the_config_or_four(folder, tmp_path):
    config, checkpoint = paths(folder, 'clip')
    classifier = load_from_checkpoint(config, checkpoint)
    assert (classifier.stride, classifier.every) == (4, 4)
    cfg = Config.fromfile(config)
    for key in ('test_dataloader', 'val_dataloader'):
        cfg[key].dataset.pipeline[1] = dict(
            type='SampleFrames', clip_len=4, frame_interval=3
        )
    cfg.dump(str(tmp_path / 'strided.py'))
    strided = load_from_checkpoint(str(tmp_path / 'strided.py'), checkpoint)
    assert strided.stride == 3


@pytest.mark.parametrize(
    'layout, clip_len, interval', [('NCHW', 4, None), ('NCTHW', 1, 2)]
)
def test_the_segments_of_a_2d_recognizer_are_one_window(
    layout, clip_len, interval
):
    steps = pipeline()
    steps[1] = dict(
        type='SampleFrames', clip_len=1, frame_interval=2, num_clips=4
    )
    steps[4] = dict(type='FormatShape', input_format=layout)
    prepare, pack, sampling = split_pipeline(steps, 'tsn.py')
    assert sampling == dict(clip_len=clip_len, frame_interval=interval)
    picture = prepare(np.zeros((48, 64, 3), np.uint8))
    inputs = pack([picture] * clip_len)['inputs']
    assert inputs.numel() == clip_len * 3 * 32 * 32
    assert layout == 'NCTHW' or inputs.shape == (4, 3, 32, 32)


@pytest.mark.parametrize(
    'name, options, every, message',
    [
        ('causal', None, 2, '--every 2 is for models of clips'),
        (
            'clip',
            {'test_dataloader.dataset.modality': 'Flow'},
            None,
            'clip.py is for Flow, but a stream has RGB frames; give the co',
        ),
        (
            'clip',
            {'test_dataloader.dataset.pipeline': TEN_CROPS},
            None,
            'makes 10 pictures of a frame, .* file to tools/export.py$',
        ),
    ],
)
def test_what_does_not_fit_is_one_line(folder, name, options, every, message):
    with pytest.raises(UserError, match=message):
        load_from_checkpoint(
            *paths(folder, name), options=options, every=every
        )


@pytest.mark.parametrize('name', ['clip', 'causal'])
def test_an_exported_file_answers_as_its_checkpoint(folder, tmp_path, name):
    config, checkpoint = paths(folder, name)
    pace = dict(stride=2, every=None)
    wanted = load_from_checkpoint(config, checkpoint, **pace)
    source = load_source(config, checkpoint)
    path = tmp_path / f'{name}.onnx'
    export_model(source, path, 'onnx', streaming=name == 'causal')
    exported = load_from_export(
        str(path), threads=1, classes=str(folder / 'classes.txt'), **pace
    )
    assert type(exported) is type(wanted)
    assert exported.name_of(1) == 'лево'
    pictures = images(folder / 'a.mp4')[:12]
    found = answers(exported, pictures)
    others = answers(wanted, pictures)
    assert list(found) == list(others) and len(found) > 1
    for index, scores in found.items():
        np.testing.assert_allclose(scores, others[index], atol=1e-5)
