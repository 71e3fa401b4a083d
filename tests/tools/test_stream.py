"""The tool that classifies streams, run by a user."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_clip, write_teacher
from warm_process import finish, run_main, run_script, start

TOOL = Path(__file__).parents[2] / 'tools' / 'stream.py'
NO_DISPLAY = dict(DISPLAY='', WAYLAND_DISPLAY='')
MODEL = ['--config', 'config.py', '--checkpoint', 'model.pth']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: a causal model, and two videos."""
    folder = tmp_path_factory.mktemp('user')
    write_clip(folder / 'short.mp4', 0, frames=12)
    write_clip(folder / 'long.mp4', 1, frames=2000)
    (folder / 'text.mp4').write_text('no video\n' * 99)
    model = recognizer()
    model['backbone']['temporal'] = 'causal'
    write_teacher(folder / 'model.pth', config=model)
    config = recipe(model, folder, folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    return folder


def stream(folder, *words):
    return run_script(TOOL, *words, cwd=folder, env=NO_DISPLAY)


def test_without_a_display_it_prints_a_line_per_answer(folder):
    done = stream(folder, 'short.mp4', *MODEL, '--top', '1')
    assert done.returncode == 0, done.stderr
    assert 'there is no display; running as with --headless' in done.stderr
    *answers, summary = map(json.loads, done.stdout.splitlines())
    assert {len(answer['predictions']) for answer in answers} == {1}
    counts = summary['summary']
    # A busy machine drops some.
    assert len(answers) + counts['dropped'] == counts['frames_read'] == 12
    assert '12 frames read in' in done.stderr


@pytest.mark.parametrize('ending', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_timeline_written(folder, tmp_path, ending):
    words = [str(TOOL), 'long.mp4', *MODEL, '--headless']
    words += ['--jsonl', str(tmp_path / 'a.jsonl')]
    words += ['--to', str(tmp_path / 'a.json')]
    process = start(run_main, (words,), tmp_path / 'output', cwd=folder)
    deadline = time.monotonic() + 120
    lines = tmp_path / 'a.jsonl'
    while not (lines.exists() and lines.read_text().count('\n') > 5):
        assert time.monotonic() < deadline and process.is_alive()
        time.sleep(0.02)
    os.killpg(process.pid, ending)
    done = finish(process, tmp_path / 'output')
    assert done.returncode == 130
    assert 'stopped at ' in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr
    assert not json.loads((tmp_path / 'a.json').read_text())['complete']
    assert 'summary' in json.loads(lines.read_text().splitlines()[-1])


@pytest.mark.parametrize(
    ('words', 'status', 'message'),
    [
        (['absent.mp4', *MODEL], 1, 'absent.mp4 cannot be opened: file not'),
        (['text.mp4', *MODEL], 1, 'text.mp4 cannot be opened: not a video'),
        (
            ['short.mp4', *MODEL, '--to', 'a.vtt'],
            1,
            '--to a.vtt is no timeline',
        ),
        *(
            (
                ['./short.mp4', *MODEL, option, path],
                1,
                f'error: {path} is an input and would be overwritten',
            )
            for option, path in (
                ('--video', 'short.mp4'),
                ('--jsonl', 'short.mp4'),
                ('--jsonl', 'model.pth'),
                ('--video', 'config.py'),
            )
        ),
        (
            ['short.mp4', *MODEL, '--jsonl', 'a.mp4', '--video', 'a.mp4'],
            1,
            'error: a.mp4 is given for two outputs',
        ),
        (['short.mp4'], 2, 'give --config and --checkpoint, or --model'),
        (['short.mp4', *MODEL, '--model', 'a'], 2, '--model takes no'),
        (['short.mp4', *MODEL, '--top', '0'], 2, '--top 0; give 1 or more'),
        (
            ['short.mp4', *MODEL, '--leave', '0.6'],
            2,
            '--enter 0.5 --leave 0.6; give scores',
        ),
    ],
)
def test_mistakes_are_reported_in_one_line(folder, words, status, message):
    before = {path: path.read_bytes() for path in folder.glob('*.*')}
    done = stream(folder, *words)
    assert done.returncode == status and message in done.stderr
    assert 'Traceback' not in done.stderr
    assert before == {path: path.read_bytes() for path in folder.glob('*.*')}
