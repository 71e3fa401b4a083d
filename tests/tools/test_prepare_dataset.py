"""What a user types to check and to pack clips."""

import csv
import subprocess
import sys
from pathlib import Path

from hostile_clips import write_broken, write_video

from dvfl_mmaction.datasets.annotations import (
    Annotations,
    read_annotations,
    write_annotations,
)

TOOL = Path(__file__).parents[2] / 'tools' / 'prepare_dataset.py'


def prepare(*words, cwd):
    return subprocess.run(
        [sys.executable, str(TOOL), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_clips_of_ones_own_are_checked_and_packed(tmp_path):
    videos = tmp_path / 'mine' / 'videos'
    videos.mkdir(parents=True)
    broken = write_broken(videos)
    for number in range(3):
        write_video(videos / f'clip {number}.mp4', 16)
    clips = [(path.name, 0) for path in sorted(videos.iterdir())]
    write_annotations(tmp_path / 'mine/all.txt', Annotations(clips))
    done = prepare(
        'custom', '--root', 'mine', '--check', '--pack', 'packed', cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for name in broken:
        assert f'{name}: ' in done.stdout
    with open(tmp_path / 'mine/check.csv', newline='') as file:
        status = {row['name']: row['status'] for row in csv.DictReader(file)}
    assert {n for n, s in status.items() if s == 'broken'} == set(broken)
    kept = [f'clip {number}' for number in range(3)]
    checked = read_annotations(tmp_path / 'mine/all_checked.txt').clips
    assert [name for name, _ in checked] == [f'{k}.mp4' for k in kept]
    packed = read_annotations(tmp_path / 'packed/all.txt').clips
    assert [name for name, _ in packed] == [f'{k}.avi' for k in kept]
    for name, _ in packed:
        assert (tmp_path / 'packed/videos' / name).is_file()


def test_what_is_missing_is_told_in_one_line(tmp_path):
    done = prepare('custom', '--root', 'absent', '--check', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and 'absent' in done.stderr
    assert done.stderr.count('\n') == 1
    done = prepare('custom', '--root', '.', cwd=tmp_path)
    assert done.returncode == 2
    assert 'custom wants --check or --pack' in done.stderr
    for count in ('0', '-1'):
        done = prepare(
            'custom',
            '--root',
            '.',
            '--check',
            '--workers',
            count,
            cwd=tmp_path,
        )
        assert done.returncode == 2
        assert f'--workers {count}; give 1 or more' in done.stderr
