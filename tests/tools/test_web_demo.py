"""The page in a browser, served by the tool as a user runs it."""

import os
import re
import shutil
import signal
import socket
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config
from small_recipe import recipe, recognizer, write_clip, write_teacher
from warm_process import finish, run_main, run_script, start

from dvfl_mmaction.analysis.prediction.batches import predict_clips
from dvfl_mmaction.analysis.prediction.clips import find_clips
from dvfl_mmaction.analysis.prediction.predictor import (
    load_checkpoint_predictor,
)

TOOL = Path(__file__).parents[2] / 'tools' / 'web_demo.py'
MODEL = ['config.py', 'model.pth', '--classes', 'classes.txt']
NAMES = ['left & right', '<b>up</b>', 'down', 'Wörter']
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
ARGUMENTS = [
    *('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update'),
    *('--disable-sync', '--use-fake-device-for-media-stream'),
    '--use-fake-ui-for-media-stream',
]
LIMIT_MS = 300_000  # on a busy machine


def why_skip() -> str:
    for name in ('gradio', 'playwright'):
        if find_spec(name) is None:
            return f'{name} is not installed; run: pip install {name}'
    return '' if CHROMIUM else "no Chromium; install Debian's package chromium"


needs_browser = pytest.mark.skipif(bool(why_skip()), reason=why_skip())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A user's folder: a causal model, its class names and videos."""
    folder = tmp_path_factory.mktemp('user')
    write_clip(folder / 'short.mp4', 0)
    write_clip(folder / 'long.mp4', 1, frames=500)
    write_clip(folder / 'too_long.mp4', 1, frames=900)
    (folder / 'text.mp4').write_text('no video\n' * 99)
    (folder / 'classes.txt').write_text('\n'.join(NAMES), encoding='utf-8')
    model = recognizer()
    model['backbone']['temporal'] = 'causal'
    write_teacher(folder / 'model.pth', config=model)
    config = recipe(model, folder, folder / 'work')
    Config(config).dump(str(folder / 'config.py'))
    return folder


@pytest.fixture(scope='module')
def address(folder, tmp_path_factory):
    """Address of a server. At its end, no file of it is left."""
    before = sorted(folder.rglob('*'))
    home = tmp_path_factory.mktemp('home')
    output = tmp_path_factory.mktemp('output') / 'server'
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = str(free.getsockname()[1])
    words = [str(TOOL), *MODEL, '--port', port, '--max-seconds', '30']
    env = dict(HOME=str(home), TMPDIR=str(home.parent))
    # Every program that draws with matplotlib keeps its list of fonts.
    env['MPLCONFIGDIR'] = str(home.parent / 'matplotlib')
    process = start(run_main, (words,), output, cwd=folder, env=env)
    deadline = time.monotonic() + LIMIT_MS / 1000
    errors, printed = output.with_suffix('.err'), output.with_suffix('.out')
    while not (printed.exists() and 'serving' in printed.read_text()):
        assert process.is_alive(), errors.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield re.search(r'http\S+', printed.read_text())[0]
    files = Path(re.search('temporary files: (.+)', errors.read_text())[1])
    assert files.parent == home.parent and any(files.iterdir())
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process, output)
    assert done.returncode == 130 and 'Traceback' not in done.stderr
    assert not files.exists()
    assert sorted(folder.rglob('*')) == before
    assert not list(home.iterdir())


@pytest.fixture(scope='module')
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Open the page as another user; returns the page and its requests."""
    contexts = []

    def open_page():
        context = browser.new_context(permissions=['camera'])
        context.set_default_timeout(LIMIT_MS)
        contexts.append(context)
        page, requests = context.new_page(), []
        page.on('request', lambda request: requests.append(request.url))
        page.goto(address)
        page.wait_for_selector('#clip input[type=file]', state='attached')
        return page, requests

    yield open_page
    for context in contexts:
        context.close()


def upload(page, path):
    page.set_input_files('#clip input[type=file]', path)


@needs_browser
def test_an_upload_shows_the_probabilities_that_predict_prints(visit, folder):
    page, requests = visit()
    upload(page, folder / 'short.mp4')
    page.wait_for_selector('#result .bar')
    predictor = load_checkpoint_predictor(
        str(folder / 'config.py'), str(folder / 'model.pth')
    )
    clips = find_clips([str(folder / 'short.mp4')])
    (expected,) = predict_clips(clips, predictor)
    order = sorted(range(4), key=lambda index: -expected.scores[index])
    names = page.locator('#result .bar b').all_inner_texts()
    assert names == [NAMES[index] for index in order]
    for index, bar in zip(order, page.locator('.bar').all(), strict=True):
        share = 100 * expected.scores[index]
        style = bar.locator('i').get_attribute('style')
        shown = float(re.search(r'width: ?([\d.]+)%', style)[1])
        assert shown == pytest.approx(share, abs=0.02)
        assert f'{share:.1f} %' in bar.inner_text()
    assert re.search(
        r'read in [\d.]+ s, predicted in [\d.]+ s', page.inner_text('#result')
    )
    own = page.url
    outside = [u for u in requests if not u.startswith((own, 'data:', 'blob'))]
    assert not outside


@needs_browser
def test_a_file_that_is_no_video_is_reported_in_the_page(visit, folder):
    page, _ = visit()
    upload(page, folder / 'text.mp4')
    message = page.wait_for_selector('#result [role=alert]').inner_text()
    assert message.startswith('text.mp4 cannot be read: not a video: ')
    assert message.endswith('give a video, such as MP4, WebM or AVI')
    assert not page.locator('#result .bar').count()
    assert not page.locator('#modulators').is_visible()


@needs_browser
def test_a_user_does_not_wait_for_the_long_clip_of_another(visit, folder):
    (first, _), (second, _) = visit(), visit()
    upload(first, folder / 'long.mp4')
    first.wait_for_selector('#timeline :text("classifying")')
    upload(second, folder / 'short.mp4')
    second.wait_for_selector('#result .bar')
    assert not first.locator('#timeline .track').count()
    first.wait_for_selector('#timeline .segments')
    assert '20.0 s' in first.inner_text('#timeline')


@needs_browser
def test_the_sliders_change_the_modulators_and_long_clips_are_refused(
    visit, folder
):
    page, _ = visit()
    upload(page, folder / 'short.mp4')
    picture = page.locator('.maps img')
    picture.wait_for()
    seen = [picture.get_attribute('src')]

    def wait_for_another():
        page.wait_for_function(
            "seen => !seen.includes(document.querySelector('.maps img')"
            ".getAttribute('src'))",
            arg=seen,
        )
        seen.append(picture.get_attribute('src'))

    page.locator('#frame input[type=number]').fill('3')
    page.locator('#frame input[type=number]').press('Tab')
    wait_for_another()
    page.locator('#stage label').last.click()
    wait_for_another()
    page.locator('#clip button[aria-label=Clear]').click()
    page.wait_for_selector('#modulators', state='hidden')
    upload(page, folder / 'too_long.mp4')
    message = page.wait_for_selector('#result [role=alert]').inner_text()
    assert message.startswith('too_long.mp4 is longer than 30 s')


@needs_browser
def test_the_live_camera_is_answered_again_and_again(visit):
    page, _ = visit()
    page.get_by_role('tab', name='Live camera').click()
    page.locator('#camera button:has-text("Webcam")').click()
    page.locator('#camera button:has-text("Record")').click()
    page.wait_for_selector('#live .bar')
    names = page.locator('#live .bar b').all_inner_texts()
    assert sorted(names) == sorted(NAMES)
    seen = page.inner_html('#live')
    page.wait_for_function(
        "seen => document.querySelector('#live').innerHTML != seen", arg=seen
    )
    assert re.search(
        r'[\d.]+ frames/s, \d+ ms per frame', page.inner_text('#live')
    )


@pytest.mark.skipif(find_spec('gradio') is None, reason='needs gradio')
def test_mistakes_are_reported_in_one_line(folder):
    for words, message in (
        (['none.py', 'model.pth'], 'none.py'),
        ([*MODEL, '--examples', 'none'], '--examples none is no folder'),
        ([*MODEL, '--host', '203.0.113.1'], 'cannot be used'),
    ):
        done = run_script(TOOL, *words, cwd=folder)
        assert done.returncode == 1 and message in done.stderr
        assert done.stderr.count('error: ') == 1
        assert 'Traceback' not in done.stderr
        is_public = '--host' in words
        assert ('is public' in done.stderr) == is_public
