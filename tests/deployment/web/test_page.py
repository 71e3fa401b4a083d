"""What the page answers, without a browser."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from growing_clips import write_sizes
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_clip, write_teacher

from dvfl_mmaction.deployment.web import page as page_module
from dvfl_mmaction.deployment.web.limits import Limits
from dvfl_mmaction.deployment.web.model import load_web_model
from dvfl_mmaction.deployment.web.page import Page


def model_of(folder, **backbone):
    config = recognizer()
    config['backbone'] |= backbone
    write_teacher(folder / 'model.pth', config=config)
    config = recipe(config, folder, folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    return load_web_model(str(folder / 'config.py'), str(folder / 'model.pth'))


def test_large_pictures_are_refused_with_one_message(tmp_path):
    page = Page([model_of(tmp_path)], Limits(megapixels=0.005))
    for sizes in ([128], [64, 512]):
        path = write_sizes(tmp_path / 'clip.mkv', 'libx264', sizes)
        *_, last = page.classify(dict, path, 1)
        message = (
            f'clip.mkv has pictures of {sizes[-1]} x {sizes[-1]} pixels but '
            'at most 0.005 megapixels are taken; scale it down, or raise '
            '--max-megapixels of the server'
        )
        assert message in last[0] and 'role="alert"' in last[0]
        assert last[3] == dict(visible=False)


def test_large_pictures_of_the_camera_are_refused(tmp_path):
    model = model_of(tmp_path)
    page = Page([model], Limits(megapixels=0.005))
    seen = []
    model.classifier.prepare = seen.append
    image = np.zeros((80, 64, 3), np.uint8)
    shown, session = page.classify_frame(model, image, None)
    assert (
        'the camera has pictures of 64 x 80 pixels but at most 0.005 '
        'megapixels are taken'
    ) in shown
    assert 'role="alert"' in shown
    assert session is None and not seen


def of_stages(*stages):
    return SimpleNamespace(observer=SimpleNamespace(stages=list(stages)))


def test_the_stages_are_those_of_all_models():
    assert Page([of_stages(1, 2, 3, 4)]).first_stage == 2
    page = Page([of_stages(1, 2, 3, 4), of_stages(2, 3, 4, 5)])
    assert page.stages == [2, 3, 4] and page.first_stage == 3


def test_models_with_fewer_steps_show_the_same_share(monkeypatch):
    monkeypatch.setattr(
        page_module,
        'draw_maps',
        lambda view, stage, share: (len(view.frames), stage, share),
    )
    views = [SimpleNamespace(frames=range(n)) for n in (8, 4)]
    page = Page([None, None])
    assert page.draw(views, 2, 1) == [(8, 2, 0), (4, 2, 0)]
    assert page.redraw(views, 2, 7) == [(8, 2, 0.75), (4, 2, 0.75)]
    assert page.draw(None, 2, 1) == [None, None]
    assert Page([None]).redraw(views[1:], 3, 2) == (4, 3, 0.25)


@pytest.fixture
def answered(tmp_path, monkeypatch):
    """What the page shows of a clip of 0.8 s, step by step."""
    write_clip(tmp_path / 'clip.mp4', 0, frames=20)
    path = str(tmp_path / 'clip.mp4')

    def answered(model, long_s=0.5):
        monkeypatch.setattr(page_module, 'LONG_S', long_s)
        return list(Page([model]).classify(dict, path, 1))

    return answered


def test_a_clip_is_answered_step_by_step(tmp_path, answered):
    model = model_of(tmp_path)
    reading, shown, *timelines = answered(model)
    assert 'Reading the clip' in reading[0]
    assert reading[2] is None and reading[3] == dict(visible=False)
    result, timeline, views, modulators, slider, picture = shown
    assert result.count('class="bar"') == 4 and timeline == ''
    assert re.search(r'read in [\d.]+ s, predicted in [\d.]+ s', result)
    assert modulators == dict(visible=True)
    assert slider == dict(maximum=len(views[0].frames), value=1)
    assert picture.size[0] > picture.size[1] / 2
    result, timeline, *others = timelines[-1]
    assert result == {} and others == [{}] * 4
    assert 'Timeline, ' in timeline and 'classified in' in timeline
    assert len(answered(model, long_s=0.9)) == 2
    hidden = next(Page([model]).classify(dict, None, 1))
    assert hidden[:3] == ('', '', None) and hidden[5] is None


def test_a_clip_without_a_timeline_says_why(tmp_path, answered):
    model = model_of(tmp_path)
    model.classifier.stride = 7
    *_, last = answered(model)
    assert (
        'clip.mp4 has no timeline: its frames are fewer than the 22 of a '
        'window'
    ) in last[1]
    assert 'role="alert"' in last[1]
    model.classifier, model.reason = None, 'it has two views'
    *_, last = answered(model)
    assert 'No timeline: it has two views' in last[1]


def test_the_camera_is_answered_by_its_own_session(tmp_path):
    model = model_of(tmp_path, temporal='causal')
    page, image = Page([model]), np.zeros((48, 64, 3), np.uint8)
    text, session = page.classify_frame(model, image, None)
    assert text.count('class="bar"') == 4 and '0.0 frames/s' in text
    assert session.classifier is not model.classifier
    _, again = page.classify_frame(model, image, session)
    assert again is session
    text, kept = page.classify_frame(model, None, session)
    assert 'The camera is off' in text and kept is session
