"""The tool that predicts videos, run by a user."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from small_recipe import recipe, recognizer, write_dataset, write_teacher
from warm_process import finish, run_main, run_script, start

TOOL = Path(__file__).parents[2] / 'tools' / 'predict.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: clips and their list, a config and a checkpoint."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'clips', clips_per_class=1)
    (folder / 'clips' / 'broken.mp4').write_bytes(b'')
    with (folder / 'clips' / 'list.txt').open('a') as file:
        file.write('broken.mp4 1\n')
    (folder / 'classes.txt').write_text('rechts\nлево\nunten\noben\n')
    write_teacher(folder / 'model.pth', config=recognizer())
    config = recipe(recognizer(), folder / 'clips', folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    return folder


def predict(folder, *words):
    return run_script(TOOL, 'config.py', 'model.pth', *words, cwd=folder)


def test_the_tool_prints_and_writes_what_was_asked_for(folder):
    words = ['clips/list.txt', '--classes', 'classes.txt', '--top', '2']
    words += ['--json', 'p.json', '--csv', 'p.csv', '--out', 'pictures']
    words += ['--video', '--sheet', 'sheet.png', '--batch-size', '2']
    words += ['--workers', '1', '--cfg-options', 'clip_size=40']
    done = predict(folder, *words)
    assert done.returncode == 0, done.stderr
    assert '5/5 clips' in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ['clip', 'label', 'class', 'probability']
    assert 'clip_0_0.mp4' in lines[1] and 'rechts' in lines[1]
    assert 'broken clip broken.mp4: the file is empty' in lines
    (line,) = [line for line in lines if line.startswith('top-1 ')]
    assert line.endswith(
        ', top-5 80.0 % of 5 labelled clips; 1 broken, counted as wrong'
    )
    written = json.loads((folder / 'p.json').read_text(encoding='utf-8'))
    assert len(written['clips']) == 4 and len(written['broken']) == 1
    assert len((folder / 'p.csv').read_text().splitlines()) == 6
    assert Image.open(folder / 'sheet.png').size[0] > 400
    names = sorted(path.name for path in (folder / 'pictures').iterdir())
    stems = [f'clip_{label}_0' for label in range(4)]
    pictures = [s + end for s in stems for end in ('.mp4', '.png')]
    assert names == [*pictures, 'predictions.journal']
    # The pipeline has the size of the option.
    assert (
        Image.open(folder / 'pictures' / 'clip_0_0.png').width == 4 * 323 - 3
    )
    journal = (folder / 'pictures' / 'predictions.journal').read_text()
    assert '(40, 40)' in journal or '[40, 40]' in journal
    again = predict(folder, *words)
    assert '4 of 5 clips are in pictures/predictions.journal' in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ('words', 'status', 'message'),
    [
        (['absent.mp4'], 1, 'error: absent.mp4 was not found'),
        (['clips', '--json', 'clips'], 1, 'error: clips cannot be written'),
        *(
            (
                ['clips/list.txt', option, path],
                1,
                f'error: {path} is an input and would be overwritten',
            )
            for option, path in (
                ('--json', 'clips/clip_0_0.mp4'),
                ('--csv', 'clips/list.txt'),
                ('--sheet', 'model.pth'),
            )
        ),
        (
            ['clips', '--json', 'p', '--csv', 'p'],
            1,
            'error: p is given for two outputs',
        ),
        (['clips', '--top', '0'], 2, '--top 0; give 1 or more'),
        (['clips', '--video'], 2, '--video needs --out FOLDER'),
        (
            ['clips/broken.mp4'],
            1,
            'error: none of 1 clips can be read; the first is '
            'clips/broken.mp4: the file is empty',
        ),
        (
            ['clips', '--cfg-options', 'model.cls_head.num_classes=9'],
            1,
            'error: the weights in model.pth do not fit config.py: '
            'cls_head.fc_cls.bias is (4,), not (9,)',
        ),
    ],
)
def test_mistakes_are_reported_in_one_line(folder, words, status, message):
    done = predict(folder, *words)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr


def test_ctrl_c_keeps_finished_clips_and_says_how_to_resume(folder, tmp_path):
    clips = tmp_path / 'clips'
    clips.mkdir()
    for number in range(150):
        os.link(folder / 'clips' / 'clip_0_0.mp4', clips / f'{number}.mp4')
    words = [str(TOOL), 'config.py', 'model.pth', str(clips)]
    words += ['--json', str(tmp_path / 'p.json')]
    words += ['--batch-size', '1', '--workers', '1']
    journal = tmp_path / 'p.json.journal'
    process = start(run_main, (words,), tmp_path / 'output', cwd=folder)
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count('\n') > 3):
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process, tmp_path / 'output')
    assert done.returncode == 130
    finished = journal.read_text().count('\n') - 1
    assert finished < 150
    assert done.stderr.splitlines()[-1] == (
        f'stopped; {finished} of 150 clips are kept in {journal}; rerun the '
        'command to resume'
    )
    assert 'Traceback' not in done.stderr
    words[words.index('--batch-size') + 1] = '50'
    again = run_script(*words, cwd=folder)
    assert again.returncode == 0
    assert f'{finished} of 150 clips are in {journal}' in again.stderr
    assert len(json.loads((tmp_path / 'p.json').read_text())['clips']) == 150
