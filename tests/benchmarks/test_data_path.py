"""The benchmark of the data path runs and reports all variants."""

import json
import subprocess
import sys
from pathlib import Path

from hostile_clips import write_video

SCRIPT = Path(__file__).with_name('data_path.py')


def test_every_variant_is_measured_and_compared_with_stock(tmp_path):
    clip = write_video(tmp_path / 'clip.avi', 24, codec='mpeg4')
    out = tmp_path / 'out.json'
    words = ['--clips', f'small={clip}', '--rounds', '3', '--out', str(out)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        cwd=SCRIPT.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert str(tmp_path) not in out.read_text()
    assert report['colours']['mean_difference'] < 1
    small = report['clips']['small']
    assert (small['codec'], small['frames']) == ('mpeg4', 24)
    stock = small['variants'].pop('stock')
    assert stock['times_as_fast_as_stock']['quartiles'] == [1, 1]
    assert len(small['variants']) == 8
    for name, figures in small['variants'].items():
        low, high = figures['times_as_fast_as_stock']['quartiles']
        assert 0 < low <= figures['times_as_fast_as_stock']['median'] <= high
        assert ('all_ideas_are_faster' in figures) == ('without' in name)
