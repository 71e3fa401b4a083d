"""What the page answers, without a browser."""

import numpy as np
from growing_clips import write_sizes
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_teacher

from dvfl_mmaction.deployment.web.limits import Limits
from dvfl_mmaction.deployment.web.model import load_web_model
from dvfl_mmaction.deployment.web.page import Page


def model_of(folder):
    write_teacher(folder / 'model.pth', config=recognizer())
    config = recipe(recognizer(), folder, folder / 'work')
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
