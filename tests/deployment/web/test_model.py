"""Models that several visitors use at the same time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from growing_clips import write_sizes
from mmengine.config import Config
from recorded_clips import write_recording
from small_recipe import recipe, recognizer, write_clip, write_teacher

from dvfl_mmaction.deployment.live.classifier import FrameClassifier
from dvfl_mmaction.deployment.live.frames import Frame
from dvfl_mmaction.deployment.live.opened_source import OpenedSource
from dvfl_mmaction.deployment.live.segments import SegmentRule
from dvfl_mmaction.deployment.web import model as model_module
from dvfl_mmaction.deployment.web.camera import CameraSession
from dvfl_mmaction.deployment.web.limits import (
    CheckedClip,
    Limits,
    check_clip,
)
from dvfl_mmaction.deployment.web.maps import draw_maps
from dvfl_mmaction.deployment.web.model import (
    WebModel,
    answer_clip,
    follow_clip,
    load_web_model,
)
from dvfl_mmaction.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    for label in (0, 1):
        write_clip(folder / f'{label}.mp4', label, frames=120)
    for form in ('causal', 'global'):
        model = recognizer()
        model['backbone']['temporal'] = form
        write_teacher(folder / f'{form}.pth', config=model)
        config = recipe(model, folder, folder / 'work')
        Config(config).dump(str(folder / f'{form}.py'))
    return folder


def load(folder, form, **options):
    path = folder / form
    return load_web_model(f'{path}.py', f'{path}.pth', options=options)


def clip_of(folder, name):
    return check_clip(str(folder / name), Limits())


def test_threads_do_not_mix_their_modulators(folder):
    model = load(folder, 'global')
    clips = [clip_of(folder, f'{label}.mp4') for label in (0, 1)] * 4
    alone = [answer_clip(model, clip) for clip in clips[:2]]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: answer_clip(model, clip), clips))
    for number, answer in enumerate(together):
        expected = alone[number % 2]
        np.testing.assert_allclose(answer.scores, expected.scores, rtol=1e-5)
        for stage, kinds in expected.view.maps.items():
            for kind, maps in kinds.items():
                np.testing.assert_allclose(
                    answer.view.maps[stage][kind], maps, rtol=1e-4, atol=1e-6
                )


@pytest.mark.parametrize('form', ['causal', 'global'])
def test_a_timeline_covers_a_long_clip(folder, form):
    model = load(folder, form)
    rule = SegmentRule(smooth_s=0, enter=0.01, leave=0, min_length_s=0)
    *_, found = follow_clip(model, clip_of(folder, '0.mp4'), rule)
    assert found.end_s == 4.8
    assert found.segments[0].start_s == 0
    assert found.segments[-1].end_s == 4.8


@pytest.mark.parametrize('decoder', ['pyav', 'decord'])
def test_pictures_that_grow_are_refused_in_one_line(folder, tmp_path, decoder):
    model = load(folder, 'global', decoder=decoder)
    path = write_sizes(tmp_path / 'grows.mkv', 'libx264', [64, 512])
    answer_clip(model, check_clip(path, Limits()))
    clip = check_clip(path, Limits(megapixels=0.005))
    message = 'grows.mkv has pictures of 512 x 512 pixels but at most 0.005'
    with pytest.raises(UserError, match=message):
        answer_clip(model, clip)


@pytest.mark.parametrize('frames', [90, 200, 497])
def test_a_recording_of_a_browser_has_at_most_60_windows(
    folder, tmp_path, frames
):
    model = load(folder, 'global')
    path = write_recording(tmp_path / 'live.webm', frames)
    windows, score = [], model.classifier.score

    def counted(pictures):
        windows.append(pictures)
        return score(pictures)

    model.classifier.score = counted
    *_, found = follow_clip(model, check_clip(path, Limits()), SegmentRule())
    assert found.end_s == pytest.approx(frames / 10, abs=0.11)
    assert min(20, frames // 10) <= len(windows) <= 60
    assert model.classifier.every == 4  # as for the next visitor


def test_a_timeline_does_not_decode_pictures_that_grow(folder, tmp_path):
    model = load(folder, 'global')
    path = write_sizes(tmp_path / 'grows.mkv', 'mjpeg', [64, 512], 20)
    clip = check_clip(path, Limits(megapixels=0.005))
    with pytest.raises(UserError, match='grows.mkv has pictures of more than'):
        list(follow_clip(model, clip, SegmentRule()))


def test_each_camera_has_a_state_of_its_own(folder):
    model = load(folder, 'causal')
    assert model.is_causal and not load(folder, 'global').is_causal
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 48, 64, 3))
    images = images.astype(np.uint8)
    expected = []
    for stream in images:
        classifier = model.classifier.for_another_stream()
        for index, image in enumerate(stream):
            work = classifier.push(Frame(index, index, image, 0, not index))
            scores = classifier.classify(work)
        expected.append(scores)
    sessions = [CameraSession(model.classifier) for _ in images]
    for pair in zip(*images, strict=True):
        found = [s.take(x) for s, x in zip(sessions, pair, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert sessions[0].rate > 0


def test_the_picture_follows_stage_and_time(folder):
    view = answer_clip(load(folder, 'global'), clip_of(folder, '0.mp4')).view
    pictures = [
        draw_maps(view, stage, share).tobytes()
        for stage, share in ((1, 0), (2, 0), (1, 0.75), (1, 0.99))
    ]
    assert len(set(pictures)) == 3 and pictures[2] == pictures[3]


def test_a_clip_whose_later_pictures_are_strips_has_no_timeline(monkeypatch):
    shapes = [(48, 64, 3), (2, 400, 3)]
    pictures = ((i / 25, np.zeros(s, np.uint8)) for i, s in enumerate(shapes))
    source = OpenedSource(pictures, lambda: None)
    monkeypatch.setattr(
        model_module, 'open_file', lambda path, timeout_s: source
    )
    taken = []
    classifier = FrameClassifier(
        lambda picture, state: (np.ones(1), state),
        lambda height, width: 0,
        lambda image: taken.append(image.shape) or image,
        1,
    )
    clip = CheckedClip('a.mp4', 5.0, 2, Limits())
    with pytest.raises(UserError, match='a.mp4 has pictures of 400 x 2 pixe'):
        list(follow_clip(WebModel(None, classifier), clip, SegmentRule()))
    assert taken == shapes[:1]
