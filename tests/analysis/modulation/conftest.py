"""Clips of the demo data."""

import json

import pytest

from dvfl_mmaction.preparation.motion_demo import VERSION, write_clip

SETTINGS = dict(seed=3, num_frames=16)
NAMES = ('oclock_01_00000', 'oclock_02_00001', 'oclock_03_00002')


@pytest.fixture(scope='session')
def demo(tmp_path_factory):
    """Folder of three clips of the validation split."""
    folder = tmp_path_factory.mktemp('demo')
    videos = folder / 'videos' / 'val'
    videos.mkdir(parents=True)
    for index, name in enumerate(NAMES):
        write_clip(videos / f'{name}.mp4', 3, 'val', index, 16)
    settings = dict(SETTINGS, version=VERSION)
    manifest = json.dumps(dict(settings=settings, complete=True))
    (folder / 'manifest.json').write_text(manifest)
    return folder
