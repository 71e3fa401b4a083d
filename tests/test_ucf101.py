import subprocess
import sys
from pathlib import Path

import pytest

from dvfl_mmaction import UserError
from dvfl_mmaction.datasets.ucf101 import prepare_ucf101

TOOL = Path(__file__).parents[1] / 'tools' / 'prepare_dataset.py'


@pytest.fixture
def root(tmp_path):
    """What the archives unpack to, with two classes and four clips."""
    lists = tmp_path / 'ucfTrainTestlist'
    lists.mkdir()
    (lists / 'classInd.txt').write_text('1 Archery\r\n2 Bowling\r\n')
    for split in (1, 2, 3):
        (lists / f'trainlist0{split}.txt').write_text(
            'Archery/v_Archery_g08_c01.avi 1\r\n'
            'Bowling/v_Bowling_g08_c01.avi 2\r\n'
        )
        (lists / f'testlist0{split}.txt').write_text(
            'Archery/v_Archery_g01_c01.avi\r\n'
            'Bowling/v_Bowling_g01_c01.avi\r\n'
        )
    for name in ('Archery', 'Bowling'):
        folder = tmp_path / 'UCF-101' / name
        folder.mkdir(parents=True)
        for group in ('g01', 'g08'):
            (folder / f'v_{name}_{group}_c01.avi').write_bytes(b'')
    return tmp_path


def test_lists_have_paths_and_labels_from_zero(root):
    prepare_ucf101(root)
    assert (root / 'ucf101_train_split_1_videos.txt').read_text() == (
        'Archery/v_Archery_g08_c01.avi 0\nBowling/v_Bowling_g08_c01.avi 1\n'
    )
    assert (root / 'ucf101_val_split_3_videos.txt').read_text() == (
        'Archery/v_Archery_g01_c01.avi 0\nBowling/v_Bowling_g01_c01.avi 1\n'
    )
    assert (root / 'classes.txt').read_text() == 'Archery\nBowling\n'
    assert (root / 'videos/Archery/v_Archery_g01_c01.avi').is_file()
    assert not list(root.glob('*.part'))


def test_a_clip_that_is_missing_is_named_and_left_out(root):
    (root / 'UCF-101/Bowling/v_Bowling_g08_c01.avi').unlink()
    report = prepare_ucf101(root)
    assert '1 clips (9537 are published)' in report[0]
    assert 'not on disk: Bowling/v_Bowling_g08_c01.avi' in report[0]
    text = (root / 'ucf101_train_split_1_videos.txt').read_text()
    assert text == 'Archery/v_Archery_g08_c01.avi 0\n'


def test_it_can_be_run_again(root):
    assert prepare_ucf101(root) == prepare_ucf101(root)


@pytest.mark.parametrize('gone', ['UCF-101', 'ucfTrainTestlist'])
def test_an_archive_that_is_missing_is_named(root, gone):
    (root / gone).rename(root / 'elsewhere')
    with pytest.raises(UserError, match=f'{gone} is not there; unpack'):
        prepare_ucf101(root)


def test_the_tool_tells_a_mistake_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, TOOL, 'ucf101', '--root', tmp_path / 'gone'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith('error: ') and 'UCF-101 is not there' in line
