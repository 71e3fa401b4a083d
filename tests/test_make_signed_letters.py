"""The clips of docs/results_real_clips.md, cut from pictures."""

import runpy
from pathlib import Path

import av
import pytest
from PIL import Image
from warm_process import run_script

SCRIPT = Path(__file__).parents[1] / 'docs/real_clips/make_signed_letters.py'


@pytest.fixture(scope='module')
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(
    ('pictures', 'clips', 'first'),
    [
        (479, 6, [15, 90, 165, 240, 315, 391]),
        (
            1000,
            12,
            [15, 96, 178, 259, 341, 422, 504, 585, 667, 748, 830, 912],
        ),
    ],
)
def test_clips_begin_where_those_of_the_page_do(
    script, pictures, clips, first
):
    """Of tom's A and jack's B."""
    assert script['first_pictures'](pictures, clips) == first


def test_a_clip_has_its_pictures_in_order(script, tmp_path):
    for i in range(60):
        grey = (4 * i,) * 3
        Image.new('RGB', (32, 16), grey).save(tmp_path / f'A{i}.jpg')
    target = tmp_path / 'videos' / 'A' / 'clip.mp4'
    script['cut_clip'](tmp_path, 'A', 10, target)
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (32, 16)
        assert stream.average_rate == 30
        frames = [
            frame.to_ndarray(format='gray').mean()
            for frame in container.decode(stream)
        ]
    wanted = [4 * (10 + i) for i in range(48)]
    assert frames == pytest.approx(wanted, abs=2)


def test_every_recording_gives_its_clips(script, tmp_path):
    for person, number in (('jack', 120), ('tom', 110)):
        (tmp_path / person).mkdir()
        for letter in 'ABCFILOVWY':
            for i in range(number):
                (tmp_path / person / f'{letter}{i}.jpg').touch()
    found = script['find_clips'](tmp_path)
    names = [name for *_, name in found]
    assert len(names) == 180 and names == sorted(names)
    assert names[0] == 'A/jack_A_seg00.mp4'
    assert found[17] == (tmp_path / 'tom', 'A', 22, 'A/tom_A_seg05.mp4')


def test_a_list_is_not_replaced(tmp_path):
    (tmp_path / 'train.txt').write_text('mine\n')
    done = run_script(SCRIPT, tmp_path, tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith('exists; give a folder without a list\n')
    assert (tmp_path / 'train.txt').read_text() == 'mine\n'


def test_a_folder_without_pictures_is_refused(script, tmp_path):
    with pytest.raises(SystemExit, match='error: 0 pictures .*give the fold'):
        script['find_clips'](tmp_path)
