"""A clip, a model of clips and a causal one, with their configs."""

import pytest
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_clip, write_teacher

CLASSES = 'rechts\nлево\nunten\noben\n'
MODELS = ('clip', 'causal')


@pytest.fixture(scope='package')
def folder(tmp_path_factory):
    """``clip.py`` and ``clip.pth``, ``causal.py`` and ``causal.pth``,
    ``classes.txt``, and ``a.mp4`` of 40 frames at 25 per second."""
    folder = tmp_path_factory.mktemp('live')
    write_clip(folder / 'a.mp4', 0, frames=40)
    (folder / 'classes.txt').write_text(CLASSES, encoding='utf-8')
    for name in MODELS:
        model = recognizer()
        if name == 'causal':
            model['backbone'] |= dict(temporal='causal', temporal_window=4)
        write_teacher(folder / f'{name}.pth', config=model)
        config = recipe(model, folder, folder / 'work')
        Config(config).dump(str(folder / f'{name}.py'))
    return folder
