"""The tool that draws modulators, run by a user."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import run_script

from dvfl_mmaction.preparation.motion_demo import make_demo_dataset

TOOL = Path(__file__).parents[2] / 'tools' / 'visualize_modulation.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips, two models of other sizes, demo data."""
    folder = tmp_path_factory.mktemp('user')
    data = write_dataset(folder / 'clips', clips_per_class=1)
    (data / 'broken.mp4').write_bytes(b'')
    for name, width in (('small', 8), ('large', 12)):
        model = recognizer(width)
        write_teacher(folder / f'{name}.pth', config=model)
        config = recipe(model, data, folder / 'work')
        steps = config['test_dataloader']['dataset']['pipeline']
        side = 40 if name == 'large' else 32
        steps[3] = dict(type='Resize', scale=(side, side), keep_ratio=False)
        Config(config).dump(str(folder / f'{name}.py'))
    make_demo_dataset(folder / 'demo', dict(val=1), num_frames=8)
    return folder


def visualize(folder, *words):
    return run_script(TOOL, 'small.py', 'small.pth', *words, cwd=folder)


def test_the_tool_draws_two_models_side_by_side(folder):
    words = ['clips', '--out', 'maps', '--gif', '--video']
    words += ['--compare', 'large.py', 'large.pth', '--stages', '2']
    done = visualize(folder, *words)
    assert done.returncode == 0, done.stderr
    assert '5/5 clips' in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == 'wrote 12 files to maps'
    assert lines[1] == 'broken clip clips/broken.mp4: the file is empty'
    names = sorted(path.name for path in (folder / 'maps').iterdir())
    assert names == [
        f'clip_{label}_0{suffix}'
        for label in range(4)
        for suffix in ('.gif', '.mp4', '.png')
    ]
    grid = Image.open(folder / 'maps' / 'clip_0_0.png')
    assert grid.width > 2 * 4 * 96 and grid.height > 4 * 96
    assert Image.open(folder / 'maps' / 'clip_0_0.gif').n_frames == 4


def test_the_focus_is_measured_on_demo_clips(folder):
    done = visualize(folder, 'demo/val.txt', '--focus', 'out/focus.json')
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / 'out' / 'focus.json').read_text())
    assert 10 <= report['clips'] <= 12
    names = [model['name'] for model in report['models']]
    assert names == ['small', 'small, untrained']
    for model in report['models']:
        assert list(model['stages']) == ['1', '2']
        for kinds in model['stages'].values():
            for ratio in kinds.values():
                assert ratio['low'] <= ratio['mean'] <= ratio['high']
    assert set(report['models'][0]['stages']['1']['space']['gain']) == {
        'mean', 'low', 'high',
    }  # fmt: skip
    assert f'{report["clips"]} clips; wrote out/focus.json' in done.stdout
    assert len(done.stdout.splitlines()) == 2 + 4 + 1
    assert not (folder / 'modulation').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['clips', '--stages', '3'], '--stages 3: the model has the stages'),
        (
            ['clips/clip_0_0.mp4', '--focus', 'f.json'],
            'clip_0_0.mp4 is no clip of the demo data, whose objects are',
        ),
        (
            ['clips/clip_0_0.mp4', '--focus', 'small.pth'],
            'small.pth is an input and would be overwritten; give another',
        ),
        (
            ['clips/clip_0_0.mp4', '--focus', 'clips'],
            'clips cannot be written: it is a folder; give another path',
        ),
        (
            ['clips/broken.mp4', '--out', 'none'],
            'none of 1 clips can be read; the first is clips/broken.mp4: the '
            'file is empty',
        ),
        (
            ['clips/clip_0_0.mp4', '--out', 'small.py'],
            'small.py cannot be written: File exists; give another path',
        ),
    ],
)
def test_mistakes_are_reported_in_one_line(folder, words, message):
    done = visualize(folder, *words)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.count('error: ') == 1
    assert 'Traceback' not in done.stderr
