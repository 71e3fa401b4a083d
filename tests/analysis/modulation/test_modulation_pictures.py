"""Pictures of modulators: scales, grids and animations."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from dvfl_mmaction.analysis.modulation.animation import (
    draw_frames,
    save_gif,
    save_video,
)
from dvfl_mmaction.analysis.modulation.colours import (
    BAR_ROOM,
    COLOURS,
    Scale,
    overlay_map,
    short_number,
)
from dvfl_mmaction.analysis.modulation.grid import (
    CELL,
    GAP,
    MARGIN,
    chosen_frames,
    draw_grid,
    row_tops,
)
from dvfl_mmaction.analysis.modulation.observer import View
from dvfl_mmaction.analysis.modulation.run import Pictures, draw_clips
from dvfl_mmaction.analysis.prediction.clips import Clip

DARK, BRIGHT = COLOURS[0], COLOURS[-1]


def view_of(name='net', stages=(1, 2), frames=4, size=(32, 32)):
    """A view whose maps are largest in the last frame."""
    values = np.arange(frames, dtype=np.float32)[:, None, None]
    maps = np.broadcast_to(values, (frames, *size))
    kinds = dict(space=maps, time=2 * maps, product=3 * maps)
    black = np.zeros((frames, *size, 3), np.uint8)
    return View(name, 'class', 0.5, black, dict.fromkeys(stages, kinds))


@pytest.mark.parametrize(
    'value, text',
    [
        (0, '0'),
        (1e-5, '1e-05'),
        (0.01724, '0.0172'),
        (38.44, '38.4'),
        (1092.3, '1092'),
        (3e7, '3e+07'),
    ],
)
def test_the_ends_of_a_scale_are_short(value, text):
    assert short_number(value) == text


def test_a_scale_holds_all_frames():
    maps = np.array([[[1.0, 2.0]], [[3.0, 5.0]]])
    scale = Scale.of(maps)
    assert (scale.low, scale.high) == (1, 5)
    coloured = scale.colour(maps[0])
    assert (coloured[0, 0] == DARK).all()
    assert (coloured[0, 1] == COLOURS[64]).all()
    assert (scale.colour(maps[1])[0, 1] == BRIGHT).all()
    flat = Scale.of(np.ones((1, 1, 1)))
    assert (flat.colour(np.ones((1, 1))) == DARK).all()


def test_the_frame_shows_through_the_colours():
    frame = np.full((1, 1, 3), 200, np.uint8)
    mixed = overlay_map(frame, np.ones((1, 1)), Scale(0, 1))
    wanted = 0.65 * BRIGHT + 0.35 * 200
    assert mixed[0, 0].tolist() == wanted.round().tolist()


def test_the_frame_is_grey_by_its_luma():
    frame = np.array([[[200, 100, 0]]], np.uint8)
    mixed = overlay_map(frame, np.ones((1, 1)), Scale(0, 1))
    wanted = 0.65 * BRIGHT + 0.35 * (0.299 * 200 + 0.587 * 100)
    assert mixed[0, 0].tolist() == wanted.round().tolist()


def test_a_grid_has_a_row_per_stage_and_kind_and_one_scale_per_row():
    grid = np.asarray(draw_grid([view_of()], 'clip'))
    one = np.asarray(draw_grid([view_of(stages=(1,))], 'clip'))
    assert len(grid) - len(one) == 3 * (CELL + GAP) + 8
    top = row_tops(2, len(grid) - 8 - 7 * (CELL + GAP) - 2 * 8)[4]
    row = grid[top + CELL // 2]
    # Dark in the first frame, bright in the last: not scaled frame by frame.
    lefts = np.flatnonzero((row == (0.65 * DARK).round()).all(-1))
    rights = np.flatnonzero((row == (0.65 * BRIGHT).round()).all(-1))
    assert len(lefts) == len(rights) == CELL
    assert rights[0] - lefts[0] == 3 * (CELL + GAP)


def test_two_models_stand_side_by_side():
    alone = draw_grid([view_of()], 'clip')
    both = draw_grid([view_of(), view_of('other', frames=8)], 'clip')
    assert both.height == alone.height
    added = both.width - alone.width
    assert added == 8 * (CELL + GAP) + BAR_ROOM + MARGIN


def test_long_clips_show_eight_frames():
    assert chosen_frames(3) == [0, 1, 2]
    assert chosen_frames(64) == [0, 9, 18, 27, 36, 45, 54, 63]


@pytest.mark.parametrize('size', [(32, 32), (45, 81)])
def test_animations_have_a_picture_per_time_step(tmp_path, size):
    views = [view_of(size=size), view_of('other', frames=2)]
    pictures = list(draw_frames(views))
    assert len(pictures) == 4
    assert all(side % 2 == 0 for side in pictures[0].size)
    save_gif(tmp_path / 'a.gif', pictures)
    save_video(tmp_path / 'a.mp4', pictures)
    gif = Image.open(tmp_path / 'a.gif')
    assert gif.n_frames == 4 and gif.size == pictures[0].size
    assert gif.info['loop'] == 0 and gif.info['duration'] == 250
    with av.open(str(tmp_path / 'a.mp4')) as video:
        frames = [f.to_ndarray(format='rgb24') for f in video.decode(video=0)]
    assert len(frames) == 4
    wanted = np.asarray(pictures[3]).astype(float)
    assert abs(frames[3] - wanted).mean() < 6  # lossy
    gif.seek(3)
    assert abs(np.asarray(gif.convert('RGB')) - wanted).mean() < 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.gif', 'a.mp4']


def test_a_model_of_fewer_time_steps_shows_each_as_long():
    pictures = draw_frames([view_of(), view_of('other', frames=2)])
    first, second, third, fourth = (
        np.asarray(picture)[:, picture.width // 2 + MARGIN :]
        for picture in pictures
    )
    assert np.array_equal(first, second) and np.array_equal(third, fourth)
    assert not np.array_equal(second, third)


def test_pictures_of_a_clip_that_is_broken_now_are_removed(tmp_path):
    observer = SimpleNamespace(stages=[1], pipeline=[dict(type='ClipInit')])
    observer.modality = 'RGB'
    clip = Clip(tmp_path / 'absent.mp4', 'absent.mp4')
    pictures = Pictures(tmp_path / 'out', gif=True)
    pictures.folder.mkdir()
    for name in ('absent.png', 'absent.gif', 'other.png'):
        (pictures.folder / name).touch()
    written, broken = draw_clips([observer], [clip], pictures)
    assert (written, broken) == ([], [(clip, 'file not found')])
    assert [p.name for p in pictures.folder.iterdir()] == ['other.png']
