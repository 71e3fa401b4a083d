"""What the page answers, without a browser."""

from growing_clips import write_sizes
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_teacher

from dvfl_mmaction.deployment.web.limits import Limits
from dvfl_mmaction.deployment.web.model import load_web_model
from dvfl_mmaction.deployment.web.page import Page


def test_large_pictures_are_refused_with_one_message(tmp_path):
    write_teacher(tmp_path / 'model.pth', config=recognizer())
    config = recipe(recognizer(), tmp_path, tmp_path / 'work')
    Config(config).dump(str(tmp_path / 'config.py'))
    model = load_web_model(
        str(tmp_path / 'config.py'), str(tmp_path / 'model.pth')
    )
    page = Page([model], Limits(megapixels=0.005))
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
