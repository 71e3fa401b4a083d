"""Pictures of predictions: bars, strips, videos and contact sheets."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hostile_clips import write_broken, write_video
from PIL import Image, ImageDraw

from dvfl_mmaction.analysis.prediction import run
from dvfl_mmaction.analysis.prediction.bars import (
    BAR,
    TRACK,
    Row,
    draw_panel,
    overlay,
    rows_of,
)
from dvfl_mmaction.analysis.prediction.batches import Prediction
from dvfl_mmaction.analysis.prediction.clips import Clip, find_clips
from dvfl_mmaction.analysis.prediction.drawn_text import (
    font_path,
    width_of,
    write_text,
)
from dvfl_mmaction.analysis.prediction.frames import frames_of
from dvfl_mmaction.analysis.prediction.predictor import Predictor
from dvfl_mmaction.analysis.prediction.run import Outputs, picture_paths
from dvfl_mmaction.analysis.prediction.sheet import Tile, choose, draw_sheet
from dvfl_mmaction.analysis.prediction.strip import (
    GAP,
    HEIGHT,
    draw_strip,
)
from dvfl_mmaction.analysis.prediction.video import write_video as draw_video
from dvfl_mmaction.analysis.text import printable, shorten
from dvfl_mmaction.datasets.video_reader import BrokenClipError
from dvfl_mmaction.errors import UserError

SIZES = [(320, 240), (1920, 1080), (270, 480)]
SHARES = (0.7, 0.2, 0.06, 0.04, 0.0)


def named(*names):
    return Predictor(None, [], 'RGB', len(names), list(names), {})


def lengths(panel: Image.Image, colour) -> list[int]:
    """Pixels of a colour per row of the panel, in its uppermost line."""
    pixels = np.asarray(panel)
    kinds = np.stack([(pixels == c).all(-1) for c in (BAR, TRACK)])
    is_row = kinds.any(0).any(1)
    starts = np.flatnonzero(is_row & ~np.roll(is_row, 1))
    chosen = kinds[0 if colour == BAR else 1]
    return [int(chosen[start].sum()) for start in starts]


@pytest.mark.parametrize('size', SIZES)
def test_bars_are_as_long_as_the_probabilities(size):
    panel = draw_panel(*size, [Row('x' * 99, share) for share in SHARES])
    bars, rests = lengths(panel, BAR), lengths(panel, TRACK)
    totals = {bar + rest for bar, rest in zip(bars, rests, strict=True)}
    assert len(bars) == 5 and len(totals) == 1
    (total,) = totals
    assert total > 0.6 * panel.width
    assert bars == [round(share * total) for share in SHARES]


@pytest.mark.parametrize('size', SIZES)
def test_the_text_follows_the_height_and_stays_inside(size):
    panel = draw_panel(*size, [Row('W' * 200, 0.5)] * 5)
    assert panel.width <= size[0] and panel.height <= size[1]
    row = panel.height / 5
    assert row >= max(16, 0.05 * size[1])
    white = (np.asarray(panel) == 255).all(-1)
    # The dots of the ellipsis leave a gap before the percentage.
    columns = np.flatnonzero(white.any(0))
    assert np.diff(columns).max() >= 5
    assert columns[-1] < panel.width - 4


def test_a_probability_that_is_nan_has_an_empty_bar():
    panel = draw_panel(320, 240, [Row('a', np.nan), Row('b', 0.5)])
    nan, half = lengths(panel, BAR)
    assert nan == 0 and half > 0


def test_rows_that_do_not_fit_are_left_out():
    panel = draw_panel(320, 64, [Row('a', 0.1)] * 20)
    assert panel.height <= 64 and 1 <= len(lengths(panel, BAR)) <= 4
    small = overlay(Image.new('RGB', (8, 8)), draw_panel(8, 8, [Row('a', 1)]))
    assert small.size == (8, 8)


def test_rows_mark_the_label_by_a_sign():
    scores = np.array([0.1, 0.6, 0.3])
    names = named('a', 'b', 'c')
    texts = {
        label: [row.text for row in rows_of(scores, names, 2, label)]
        for label in (None, 1, 2, 0)
    }
    assert texts == {
        None: ['b', 'c'],
        1: ['✓ b', 'c'],
        2: ['✗ b', '✓ c'],
        0: ['✗ b', 'c', 'label: a'],
    }
    assert rows_of(scores, names, 2, 0)[2].share is None
    nan = np.full(3, np.nan)
    assert [row.text for row in rows_of(nan, names, 2, 0)] == ['✗ a', 'b']


@pytest.mark.parametrize('text', ['Bällen', 'Баскетбол', 'κάτω', 'ℵ⃝', '✓✗'])
def test_names_of_other_scripts_are_drawn_with_their_glyphs(text):
    """A missing glyph is a box, the same for each character."""

    def pixels(text):
        picture = Image.new('L', (200, 40))
        draw = ImageDraw.Draw(picture)
        end = write_text(draw, (2, 20), text, 20, 190)
        assert end == pytest.approx(width_of(text, 20))
        return np.asarray(picture)

    drawn = pixels(text)
    assert drawn.max() == 255
    assert not np.array_equal(drawn, pixels('\U000f0000' * len(text)))
    if text == 'ℵ⃝':  # matplotlib's STIX has the circle, DejaVu has not
        assert font_path(text[1]) != font_path(text[0])


def test_long_text_is_cut_with_an_ellipsis_at_one_end():
    assert shorten('abcdef', 6) == 'abcdef'
    assert shorten('abcdef', 4) == 'abc…'
    assert shorten('abcdef', 4, keep_end=True) == '…def'
    assert shorten('手を洗う', 5) == '手を…'  # two columns each
    for width in (30, 80, 150):
        cut = shorten('m' * 50, width, lambda text: width_of(text, 12))
        assert cut.endswith('…') and width_of(cut, 12) <= width
        assert width_of('m' + cut, 12) > width
    assert printable('a\nb\udcff[/]ü') == 'a\\nb\\xff[/]ü'
    for name in ('می\u200cدود', '\U0001f3ca\u200d\u2642'):
        assert printable(name) == name
    assert printable('a\u202eb') == r'a\u202eb'  # turns what follows


def test_the_strip_of_a_long_clip_has_eight_frames_from_first_to_last():
    frames = np.stack([np.full((8, 8, 3), 9 * t, np.uint8) for t in range(15)])
    strip = np.asarray(draw_strip(frames, [Row('a', 0.5)]))
    shown = strip[0, HEIGHT // 2 :: HEIGHT + GAP, 0]
    assert shown.tolist() == [18 * place for place in range(8)]


def test_the_strip_shows_the_frames_that_the_model_saw():
    clip = torch.zeros(6, 3, 4, 32, 48, dtype=torch.uint8)
    for t in range(4):
        clip[3, 0, t] = 60 * (t + 1)  # of the middle view, red
    frames = frames_of(clip)
    assert frames.shape == (4, 32, 48, 3)
    strip = np.asarray(draw_strip(frames, [Row('a', 0.5)]))
    assert strip.shape == (320, 4 * 480 + 3 * 3, 3)
    seen = [strip[10, 240 + t * 483].tolist() for t in range(4)]
    assert seen == [[60 * (t + 1), 0, 0] for t in range(4)]
    assert (strip[:, 480:483] == 255).all()  # between two frames
    corner = strip[200:, :400]
    assert (corner == BAR[:3]).all(-1).any()
    many = draw_strip(np.zeros((64, 32, 32, 3), np.uint8), [])
    assert many.width == 8 * 323 - 3
    # A 2D recognizer gets (T, 3, H, W).
    assert frames_of(clip[3].transpose(0, 1)).shape == (4, 32, 48, 3)


def test_clips_that_are_not_rgb_have_no_picture():
    for shape in ((1, 2, 8, 32, 32), (1, 17, 8, 56, 56), (3, 32, 32)):
        with pytest.raises(UserError, match='are not RGB frames'):
            frames_of(torch.zeros(shape, dtype=torch.uint8))
    with pytest.raises(UserError, match='are not RGB frames'):
        frames_of(torch.zeros(1, 3, 8, 32, 32))


@pytest.mark.parametrize(
    ('size', 'expected'), [((320, 240), (320, 240)), ((171, 129), (340, 256))]
)
def test_the_video_has_all_frames_with_bars(tmp_path, size, expected):
    options = dict(pixels='yuv444p', size=size)
    source = write_video(tmp_path / 'a.mp4', 16, **options)
    draw_video(source, tmp_path / 'b.mp4', [Row('a', 0.9)])
    with av.open(str(tmp_path / 'b.mp4')) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 25
        frames = [
            f.to_ndarray(format='rgb24') for f in container.decode(stream)
        ]
    assert len(frames) == 16
    for number, frame in enumerate(frames):
        assert frame.shape[1::-1] == expected
        # The grey encodes the number.
        grey = frame[20, -20].astype(int)
        assert abs(grey - (20 + 5 * number)).max() <= 4
        lower = frame[-40:, 20:100].astype(int)
        assert (abs(lower - np.array(BAR[:3])).max(-1) < 30).mean() > 0.2


def test_a_video_that_cannot_be_decoded_leaves_no_file(tmp_path):
    write_broken(tmp_path)
    with pytest.raises(BrokenClipError):
        draw_video(tmp_path / 'overwritten.mp4', tmp_path / 'new.mp4', [])
    assert not list(tmp_path.glob('new*'))


def tile(**changes):
    frame = np.full((32, 32, 3), 128, np.uint8)
    options = dict(
        frame=frame,
        predicted='a',
        share=0.5,
        label='b',
        is_right=None,
        clip='clip',
    )
    return Tile(**options | changes)


def test_the_sheet_marks_right_and_wrong_without_colours():
    tiles = [tile(is_right=is_right) for is_right in (True, False, None)]
    assert [t.sign for t in tiles] == ['✓', '✗', '']
    cells = []
    for one in tiles:
        sheet = np.asarray(draw_sheet([one], 'title').convert('L'))
        cells.append(sheet < 200)
    right, wrong, unknown = cells
    text = slice(-3 * 21 - 8, -2 * 21 - 8), slice(8, 24)  # where a sign is
    assert not np.array_equal(right[text], wrong[text])
    assert not np.array_equal(right[text], unknown[text])
    # A wrong tile also has its label, in a line of its own.
    assert wrong[-22:].sum() > right[-22:].sum()


def test_the_sheet_is_a_grid_of_at_most_60_evenly_spaced_clips():
    assert choose(3) == [0, 1, 2]
    chosen = choose(10_000)
    assert len(chosen) == 60 and set(np.diff(chosen)) == {166, 167}
    frames = [np.full((20, 40, 3), 4 * i, np.uint8) for i in range(60)]
    sheet = draw_sheet([tile(frame=frame) for frame in frames], 'title')
    assert 1 < sheet.width / sheet.height < 2
    pixels = np.asarray(sheet)
    greys = {4 * i for i in range(1, 60)}
    assert greys <= set(np.unique(pixels[(np.ptp(pixels, -1) == 0)]))


def test_pictures_lie_as_the_clips_do_and_differ(tmp_path):
    clips = [
        Clip(Path('/data/x') / name, name)
        for name in ('a.mp4', 'a.avi', 'y/a.mp4', 'b.1.mp4')
    ]
    outputs = Outputs(folder=tmp_path, video=True)
    found = picture_paths(clips, outputs)
    names = [path.relative_to(tmp_path).as_posix() for path, _ in found]
    assert names == ['a.mp4.png', 'a.avi.png', 'y/a.png', 'b.1.png']
    assert found[2][1] == tmp_path / 'y' / 'a.mp4'
    assert picture_paths(clips, Outputs()) == [()] * 4
    clips.append(Clip(Path('/data/x/a.avi.mkv'), 'a.avi.mkv'))
    found = {picture for picture, _ in picture_paths(clips, outputs)}
    assert len(found) == 5 and tmp_path / 'a.avi.mkv.png' in found


def test_pictures_stay_in_their_folder_and_replace_no_clip(tmp_path):
    for name in ('vids/a.mp4', 'lists/b.mp4'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / 'lists' / 'l.txt').write_text('../vids/a.mp4 0\nb.mp4 1\n')
    clips = find_clips([str(tmp_path / 'lists' / 'l.txt')])
    outputs = Outputs(folder=tmp_path / 'pictures', video=True)
    found = picture_paths(clips, outputs)
    assert [video for _, video in found] == [
        outputs.folder / 'vids' / 'a.mp4',
        outputs.folder / 'lists' / 'b.mp4',
    ]
    outputs.folder.mkdir()
    (outputs.folder / 'vids').symlink_to(tmp_path / 'vids')
    with pytest.raises(UserError, match='a.mp4 is a clip itself and would be'):
        picture_paths(clips, outputs)
    outputs.video = False
    with pytest.raises(UserError, match='a.png lies outside .*pictures, whe'):
        picture_paths(clips, outputs)


def test_pictures_differ_where_case_does_not_count():
    clips = [Clip(Path('/data') / n, n) for n in ('A.mp4', 'a.avi', 'b.MP4')]
    found = picture_paths(clips, Outputs(folder=Path('out')))
    names = [path.name for (path,) in found]
    assert names == ['A.mp4.png', 'a.avi.png', 'b.png']


def test_a_time_lapse_gets_a_video(tmp_path):
    times = [5_000_000 * i for i in range(4)]  # ms
    source = write_video(tmp_path / 'slow.mp4', 4, times=times)
    draw_video(source, tmp_path / 'drawn.mp4', [Row('a', 0.5)])
    with av.open(str(tmp_path / 'drawn.mp4')) as drawn:
        assert len(list(drawn.decode(video=0))) == 4


def test_pictures_of_a_clip_that_is_broken_now_are_removed(
    tmp_path, monkeypatch
):
    clips = [Clip(tmp_path / 'empty.mp4', 'empty.mp4')]
    clips[0].path.touch()
    outputs = Outputs(folder=tmp_path / 'out', video=True)
    (targets,) = picture_paths(clips, outputs)
    outputs.folder.mkdir()
    other = outputs.folder / 'other.png'
    scores = np.array([0.9, 0.1], np.float32)
    inputs = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    for outcome, left in (
        (Prediction(0, error='not a video'), {other}),
        # The pipeline could read the clip, but it cannot be read to its end.
        (Prediction(0, scores, inputs=inputs), {other, targets[0]}),
    ):
        for path in (*targets, other):
            path.write_bytes(b'earlier')
        monkeypatch.setattr(
            run,
            'predict_clips',
            lambda *args, o=outcome: (found for found in [o]),
        )
        predictor = named('a', 'b')
        predictor.settings['checkpoint'] = ''
        run.run_prediction(predictor, clips, outputs)
        journal = {outputs.journal}
        assert set(outputs.folder.iterdir()) - journal == left
    assert targets[0].read_bytes() != b'earlier'
