import json
from pathlib import Path

import decord
import numpy as np
import pytest
from warm_process import run_script

from dvfl_mmaction.errors import UserError
from dvfl_mmaction.preparation import motion_demo as demo

TOOL = Path(__file__).parents[2] / 'tools' / 'make_demo_dataset.py'
COUNTS = dict(train=2, val=1, test=1)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp('demo')
    assert demo.make_demo_dataset(path, COUNTS, 16, report=lambda line: None)
    return path


def read_list(root, split):
    lines = (root / f'{split}.txt').read_text().splitlines()
    return [(name, int(label)) for name, label in map(str.split, lines)]


def test_a_clip_is_a_function_of_seed_split_and_index():
    draws = [
        demo.draw_clip(*key, 8)
        for key in [(0, 'train', 5)] * 2
        + [(1, 'train', 5), (0, 'val', 5), (0, 'train', 17)]
    ]
    frames = [np.stack(list(demo.render(clip))) for clip in draws]
    assert (frames[0] == frames[1]).all()
    for other in frames[2:]:
        assert (frames[0] != other).any()


def test_objects_move_towards_the_hour_of_their_class():
    for index in range(48):
        clip = demo.draw_clip(0, 'train', index, 32)
        steps = np.diff(clip.places, axis=0)
        moved = steps.sum(0)
        low, high = demo.DISTANCE
        assert low - 1e-6 < np.hypot(*moved) < high + 1e-6
        hour = np.degrees(np.arctan2(moved[0], -moved[1])) / 30
        off = (hour - (clip.label + 1) + 6) % 12 - 6
        assert abs(off) * 30 <= demo.HEADING_JITTER + 1e-6
        assert (steps @ moved > 0).all()  # never backwards


def place_and_looks(clip, frame):
    return [*clip.places[frame], clip.angle, clip.radius, *clip.colour]


def test_no_class_shows_in_the_middle_frame():
    values = {label: [] for label in range(len(demo.CLASSES))}
    for index in range(1800):
        clip = demo.draw_clip(3, 'train', index, 9)
        values[clip.label].append(place_and_looks(clip, 4))
    values = {label: np.array(rows) for label, rows in values.items()}
    for label, mine in values.items():
        others = np.vstack([v for k, v in values.items() if k != label])
        for column in range(mine.shape[1]):
            # two-sample Kolmogorov-Smirnov distance; 2.2 is p = 0.0001
            grid = np.sort(others[:, column])
            cdf = [
                np.searchsorted(np.sort(x), grid, side='right') / len(x)
                for x in (mine[:, column], others[:, column])
            ]
            size = len(mine) * len(others) / (len(mine) + len(others))
            assert np.abs(cdf[0] - cdf[1]).max() * np.sqrt(size) < 2.2


def test_no_direction_shows_at_an_unknown_time():
    # seen over all frames, every class is centred: a heading and its
    # opposite leave the same picture
    places = {label: [] for label in range(len(demo.CLASSES))}
    for index in range(2400):
        clip = demo.draw_clip(4, 'train', index, 9)
        places[clip.label].append(clip.places.mean(0) - demo.CENTRE)
    for rows in places.values():
        error = np.std(rows, axis=0) / np.sqrt(len(rows))
        assert (np.abs(np.mean(rows, axis=0)) < 4 * error).all()


def test_lists_are_balanced_and_splits_share_no_clip(root):
    seen = set()
    for split, count in COUNTS.items():
        clips = read_list(root, split)
        labels = np.bincount([label for _, label in clips])
        assert labels.tolist() == [count] * len(demo.CLASSES)
        for name, label in clips:
            assert Path(name).name.startswith(demo.CLASSES[label])
            seen.add((root / 'videos' / name).read_bytes())
    assert len(seen) == sum(COUNTS.values()) * len(demo.CLASSES)
    classes = (root / 'classes.txt').read_text().split()
    assert classes == list(demo.CLASSES)
    assert json.loads((root / demo.MANIFEST).read_text())['complete']


def test_clips_are_mpeg4_videos_that_decord_reads(root):
    name, label = read_list(root, 'test')[3]
    path = root / 'videos' / name
    assert b'mp4v' in path.read_bytes()
    frames = decord.VideoReader(str(path))[:].asnumpy()
    assert frames.shape == (16, 240, 320, 3)
    drawn = demo.render(demo.draw_clip(0, 'test', label, 16))
    drawn = np.stack(list(drawn))[..., ::-1].astype(int)
    assert np.abs(frames - drawn).mean() < 6


def test_a_second_run_keeps_clips_and_writes_missing_ones(root):
    def run():
        return demo.make_demo_dataset(root, COUNTS, 16, report=print)

    assert not run()
    path = root / 'videos' / read_list(root, 'val')[0][0]
    before = path.read_bytes()
    path.unlink()
    assert run()
    assert path.read_bytes() == before


def test_other_settings_are_rejected_without_overwrite(tmp_path):
    counts = dict(train=1, val=1, test=1)
    demo.make_demo_dataset(tmp_path, counts, 8, report=lambda line: None)
    with pytest.raises(UserError, match='--overwrite'):
        demo.make_demo_dataset(tmp_path, counts, 8, seed=1)
    assert demo.make_demo_dataset(
        tmp_path, counts, 8, seed=1, overwrite=True, report=lambda line: None
    )


@pytest.mark.parametrize(
    'change',
    [
        dict(num_frames=7),
        dict(seed=-1),
        dict(workers=0),
        dict(clips_per_class=dict(train=0, val=1, test=1)),
        dict(clips_per_class=dict(training=1)),
    ],
)
def test_arguments_out_of_range_are_rejected(tmp_path, change):
    with pytest.raises(UserError, match='give'):
        demo.make_demo_dataset(
            tmp_path, **{'clips_per_class': COUNTS, **change}
        )


def test_the_tool_reports_a_blocking_file_in_one_line(tmp_path):
    target = tmp_path / 'file'
    target.write_text('')
    done = run_script(TOOL, target)
    assert done.returncode not in (0, None)
    assert 'cannot write the data set' in done.stderr + done.stdout
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('name', ['train.txt', 'classes.txt'])
def test_files_of_another_data_set_are_kept_without_overwrite(tmp_path, name):
    def run(overwrite):
        counts = dict(train=1, val=1, test=1)
        return demo.make_demo_dataset(
            tmp_path, counts, 8, overwrite=overwrite, report=lambda line: None
        )

    (tmp_path / name).write_text('own.mp4 0\n')
    with pytest.raises(UserError, match=f'{name} .* --overwrite') as error:
        run(overwrite=False)
    assert '\n' not in str(error.value)
    assert {p.name for p in tmp_path.iterdir()} == {name}
    assert (tmp_path / name).read_text() == 'own.mp4 0\n'
    assert run(overwrite=True)
    assert 'oclock' in (tmp_path / name).read_text()
    (tmp_path / name).unlink()
    assert run(overwrite=False)  # a missing file is written again
    assert 'oclock' in (tmp_path / name).read_text()
    assert not run(overwrite=False)
